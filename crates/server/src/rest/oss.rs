//! mem0's open-source server, as its dashboard and its users know it.

mod dto;
mod memories;
mod search;

pub(super) use search::{SearchAnswer, SearchBody, search};

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Shared;

pub(super) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(memories::add, memories::list, memories::delete_all))
        .routes(routes!(memories::get, memories::update, memories::delete))
        .routes(routes!(memories::history))
        .routes(routes!(search::search))
}
