//! The routes: the runbook's backend, mem0's server, the hosted platform, and what operators ask for.

pub(crate) mod dto;
mod legacy;
mod mem0_server;
mod openai;
mod operations;
pub(crate) mod platform;
mod sse;

use utoipa_axum::router::OpenApiRouter;

use crate::service::app::Shared;

/// Routes that ask for a key.
pub(crate) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(legacy::guarded())
        .merge(mem0_server::guarded())
        .merge(platform::guarded())
        .merge(openai::guarded())
        .merge(operations::guarded())
}

/// Routes that don't.
pub(crate) fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(legacy::public()).merge(mem0_server::public()).merge(operations::public())
}
