//! `/requests` of mem0's server: what was asked of it last.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Json, Query, count};
use crate::service::app::Shared;
use crate::service::request_log::Entry;

/// mem0's page, if none is asked for.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// How many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RequestsQuery {
    /// Most requests to return, 1 ..= 200; 50 if absent.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// List the last requests made with a key, newest first
#[utoipa::path(get, path = "/requests", tag = "mem0 server", params(RequestsQuery),
    responses((status = 200, body = Vec<Entry>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    _: Admin,
    Query(query): Query<RequestsQuery>,
) -> Result<Json<Vec<Entry>>, Problem> {
    let limit = query.limit.unwrap_or(LIMIT);
    let fault = match limit {
        0 => Some(("greater_than_equal", "Input should be greater than or equal to 1".to_owned())),
        1..=MAX_LIMIT => None,
        _ => Some(("less_than_equal", format!("Input should be less than or equal to {MAX_LIMIT}"))),
    };
    if let Some((kind, message)) = fault {
        return Err(Problem::unprocessable(&["query", "limit"], kind, message, limit.into()));
    }
    let log = app.clone();
    let entries = app.blocking(move || log.requests.last(&*log.ledger, limit)).await??;
    Ok(Json(entries))
}
