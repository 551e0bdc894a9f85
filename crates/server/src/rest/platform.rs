//! The hosted platform of mem0, as its clients know it.

mod add;
mod ask;
mod delete_all;
mod dto;
mod events;
mod filters;
mod list;
mod memory;
mod ping;
mod search;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Shared;

const TAG: &str = "hosted platform";

pub(super) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(ping::ping))
        .routes(routes!(add::add))
        .routes(routes!(search::search))
        .routes(routes!(list::list))
        .routes(routes!(memory::get, memory::update, memory::delete))
        .routes(routes!(memory::history))
        .routes(routes!(list::list_v1, add::add_old, delete_all::delete_all))
        .routes(routes!(list::list_v2))
        .routes(routes!(search::search_v2))
        .routes(routes!(search::search_v1))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(events::get_plural))
}
