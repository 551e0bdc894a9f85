//! The routes: the runbook's backend, mem0's server, the hosted platform, and what operators ask for.

pub(crate) mod dto;
mod operators;
mod oss;
mod platform;
mod runbook;

use utoipa_axum::router::OpenApiRouter;

use crate::app::Shared;

/// Routes that ask for a key.
pub(crate) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(runbook::guarded())
        .merge(oss::guarded())
        .merge(platform::guarded())
        .merge(operators::guarded())
}

/// Routes that don't.
pub(crate) fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(runbook::public()).merge(oss::public()).merge(operators::public())
}
