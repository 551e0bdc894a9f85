//! The routes of mem0's hosted platform.

mod add;
mod batch;
mod delete_all;
mod dto;
mod entities;
mod events;
mod exports;
mod feedback;
mod filters;
mod list;
mod memory;
mod not_implemented;
mod parked;
mod ping;
mod projects;
mod queries;
mod search;
mod webhooks;

use mnemon_store::DocumentKind;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::AppState;

/// The kinds of documents of this surface.
pub(super) const DOCUMENT_KINDS: &[DocumentKind] = &[
    DocumentKind::of::<exports::Export>(exports::KIND),
    DocumentKind::of::<feedback::StoredFeedback>(feedback::KIND),
    DocumentKind::of::<Map<String, Value>>(projects::KIND),
    DocumentKind::of::<projects::Member>(projects::MEMBER),
];

pub(super) fn guarded() -> OpenApiRouter<AppState> {
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
        .routes(routes!(parked::list))
        .routes(routes!(parked::retry))
        .routes(routes!(parked::edit, parked::remove))
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
        .routes(routes!(not_implemented::summary))
        .routes(routes!(not_implemented::profile))
        .routes(routes!(not_implemented::profile_settings, not_implemented::change_profile_settings))
        .routes(routes!(not_implemented::start_profile_job))
        .routes(routes!(not_implemented::profile_job))
}
