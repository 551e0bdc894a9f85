//! The hosted platform of mem0, as its clients know it.

mod add;
mod ask;
mod batch;
mod delete_all;
mod dto;
mod entities;
pub(crate) mod events;
mod exports;
mod feedback;
pub(crate) mod filters;
mod list;
mod memory;
mod ping;
mod projects;
mod search;
mod webhooks;
mod without_llm;

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
        .routes(routes!(batch::update, batch::delete))
        .routes(routes!(entities::list))
        .routes(routes!(entities::filters))
        .routes(routes!(entities::get, entities::delete))
        .routes(routes!(entities::delete_old))
        .routes(routes!(exports::list, exports::create))
        .routes(routes!(exports::get))
        .routes(routes!(feedback::give))
        .routes(routes!(projects::create))
        .routes(routes!(projects::get, projects::update, projects::delete))
        .routes(routes!(projects::members, projects::add_member, projects::update_member, projects::remove_member))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::update, webhooks::delete))
        .routes(routes!(without_llm::summary))
        .routes(routes!(without_llm::profile))
        .routes(routes!(without_llm::profile_settings, without_llm::change_profile_settings))
        .routes(routes!(without_llm::start_profile_job))
        .routes(routes!(without_llm::profile_job))
}
