//! The legacy surface: the routes of the Python backend of mem0 0.1/1.x stacks. `/memories` and `/search` are those of
//! mem0's server.

mod chat;
mod health;
mod search;
mod stats;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::AppState;

pub(super) fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::health))
}

pub(super) fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search::search))
        .routes(routes!(stats::stats))
        .routes(routes!(stats::relationships))
        .routes(routes!(chat::chat))
}
