//! `/v1/ping`: the first request of every client of the hosted platform.

use axum::Extension;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::tag;
use crate::auth::Caller;
use crate::http::extract::Json;

/// Response of `GET /v1/ping`, with the fields that clients require.
#[derive(Serialize, ToSchema)]
pub(super) struct Pong {
    /// `ok`
    status: &'static str,
    /// `default`, the only organization.
    org_id: &'static str,
    /// `default`, the only project.
    project_id: &'static str,
    /// Not an email address, because clients would link their telemetry to it.
    user_email: &'static str,
}

/// Check that the key is valid
#[utoipa::path(get, path = "/v1/ping", tag = tag::PLATFORM, responses((status = 200, body = Pong)))]
pub(super) async fn ping(_: Extension<Caller>) -> Json<Pong> {
    Json(Pong { status: "ok", org_id: "default", project_id: "default", user_email: "mnemon" })
}
