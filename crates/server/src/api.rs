//! The routes of all surfaces.

mod dto;
mod ids;
mod legacy;
mod mem0_server;
mod openai;
mod operations;
mod platform;
mod sse;

use mnemon_store::DocumentKind;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::http::{Routes, describe};

/// The kinds of documents of all surfaces.
pub(crate) const DOCUMENT_KINDS: [&[DocumentKind]; 2] = [mem0_server::DOCUMENT_KINDS, platform::DOCUMENT_KINDS];

/// All routes of the server.
pub(crate) fn routes() -> Routes {
    let guarded = OpenApiRouter::new()
        .merge(legacy::guarded())
        .merge(mem0_server::guarded())
        .merge(platform::guarded())
        .merge(openai::guarded())
        .merge(operations::guarded());
    let public = OpenApiRouter::new().merge(legacy::public()).merge(mem0_server::public()).merge(operations::public());
    Routes { guarded, public }
}

/// The OpenAPI description of all routes. Every path is also served with a slash at its end.
pub fn openapi() -> OpenApi {
    let Routes { guarded, public } = routes();
    let mut api = guarded.merge(public).into_openapi();
    describe(&mut api);
    api
}
