//! The routes: the runbook's backend, mem0's server, the hosted platform, and what operators ask for.

mod chat;
pub(crate) mod dto;
mod events_stream;
mod openai;
mod operators;
mod oss;
mod platform;
mod runbook;

pub(crate) use platform::events;

use utoipa_axum::router::OpenApiRouter;

use crate::app::Shared;

/// Routes that ask for a key.
pub(crate) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(runbook::guarded())
        .merge(oss::guarded())
        .merge(platform::guarded())
        .merge(openai::guarded())
        .merge(operators::guarded())
}

/// Routes that don't.
pub(crate) fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(runbook::public()).merge(oss::public()).merge(operators::public())
}
