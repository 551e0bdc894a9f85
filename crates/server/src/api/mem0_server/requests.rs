//! `/requests` of mem0's server: the last requests.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::dto::tag;
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Json, Query, usize_or_text};
use crate::service::{AppState, Entry};

/// mem0's default.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Query of `GET /requests`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RequestsQuery {
    /// Most requests to return, 1 to 200; default 50.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List the last requests made with a key, newest first
#[utoipa::path(get, path = "/requests", tag = tag::MEM0_SERVER, params(RequestsQuery),
    responses((status = 200, body = Vec<Entry>)))]
pub(crate) async fn list(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<RequestsQuery>,
) -> Result<Json<Vec<Entry>>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let error = match limit {
        0 => Some(("greater_than_equal", "Input should be greater than or equal to 1".to_owned())),
        1..=MAX_LIMIT => None,
        _ => Some(("less_than_equal", format!("Input should be less than or equal to {MAX_LIMIT}"))),
    };
    if let Some((kind, message)) = error {
        return Err(Problem::unprocessable(&["query", "limit"], kind, message, limit.into()));
    }
    let log = app.clone();
    let entries = app.blocking(move || log.requests.last(limit)).await??;
    Ok(Json(entries))
}
