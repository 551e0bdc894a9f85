//! The routes of mem0's open-source server.

mod accounts;
mod api_keys;
mod configure;
mod dto;
mod entities;
mod instructions;
mod memories;
mod overrides;
mod requests;
mod reset;
mod search;

pub(super) use search::{SearchAnswer, SearchBody, search};

use mnemon_store::DocumentKind;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::AppState;

/// The kinds of documents of this surface.
pub(super) const DOCUMENT_KINDS: &[DocumentKind] = &[DocumentKind::of::<Map<String, Value>>(configure::KIND)];

pub(super) fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(memories::add, memories::list, memories::delete_all))
        .routes(routes!(memories::get, memories::update, memories::delete))
        .routes(routes!(memories::history))
        .routes(routes!(memories::sources))
        .routes(routes!(search::search))
        .routes(routes!(entities::list))
        .routes(routes!(entities::delete))
        .routes(routes!(requests::list))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(configure::show, configure::change))
        .routes(routes!(configure::providers))
        .routes(routes!(instructions::generate))
        .routes(routes!(reset::reset))
        .routes(routes!(accounts::me, accounts::change_me))
        .routes(routes!(accounts::change_password))
        .routes(routes!(accounts::onboarding_complete))
}

pub(super) fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(accounts::setup_status))
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::refresh))
}
