//! `/reset` of mem0's server.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::dto::Done;
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Body, Json, Query};
use crate::service::app::Shared;

const WORD: &str = "reset";

/// The confirmation, in the body or in the query.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(crate) struct Confirmation {
    /// The word `reset`.
    confirm: Option<String>,
}

/// Delete everybody's memories
///
/// Only with `"confirm": "reset"` in the body, or `?confirm=reset`: mem0 deletes them without asking. History, keys and
/// settings stay.
#[utoipa::path(post, path = "/reset", tag = "mem0 server", params(Confirmation),
    request_body(content = Option<Confirmation>), responses((status = 200, body = Done)))]
pub(crate) async fn reset(
    State(app): State<Shared>,
    Admin(caller): Admin,
    Query(query): Query<Confirmation>,
    Body(body): Body<Option<Confirmation>>,
) -> Result<Json<Done>, Problem> {
    let words = [query.confirm, body.and_then(|body| body.confirm)];
    if !words.iter().flatten().any(|word| word == WORD) {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "confirmation_required",
            "This deletes the memories of every user, and was not confirmed.",
        );
        return Err(problem.hint("Send {\"confirm\": \"reset\"}, or use DELETE /memories for one user's memories."));
    }
    let gone = app.delete_all(None).await?;
    tracing::warn!(memories = gone, key = %caller.name, "all memories were deleted");
    Ok(Json(Done::new("All memories reset")))
}
