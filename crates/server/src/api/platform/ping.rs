//! `/v1/ping`: the first thing every client of the hosted platform asks.

use axum::Extension;
use serde::Serialize;
use utoipa::ToSchema;

use super::TAG;
use crate::auth::Caller;
use crate::http::extract::Json;

/// Who the server is, as clients demand it.
#[derive(Serialize, ToSchema)]
pub(super) struct Pong {
    /// `ok`
    status: &'static str,
    /// `default`: there is one organisation.
    org_id: &'static str,
    /// `default`: there is one project.
    project_id: &'static str,
    /// No address: clients would tie their telemetry to one.
    user_email: &'static str,
}

/// Whether the key is good, whatever it may do
#[utoipa::path(get, path = "/v1/ping", tag = TAG, responses((status = 200, body = Pong)))]
pub(super) async fn ping(_: Extension<Caller>) -> Json<Pong> {
    Json(Pong { status: "ok", org_id: "default", project_id: "default", user_email: "mnemon" })
}
