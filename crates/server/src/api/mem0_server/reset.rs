//! `/reset` of mem0's server.

use axum::extract::State;
use mnemon_engine::ErrorCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::dto::{Done, tag};
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Body, Json, Query};
use crate::service::AppState;

/// The word that confirms a reset.
const CONFIRMATION: &str = "reset";

/// The confirmation, in the body or in the query.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(crate) struct Confirmation {
    /// The word `reset`.
    confirm: Option<String>,
}

/// Delete the memories of all users
///
/// Requires `"confirm": "reset"` in the body, or `?confirm=reset`; mem0's server does not. History, keys and settings
/// stay.
#[utoipa::path(post, path = "/reset", tag = tag::MEM0_SERVER, params(Confirmation),
    extensions(("x-refuses-unknown" = json!(true))), request_body(content = Option<Confirmation>), responses((status = 200, body = Done)))]
pub(crate) async fn reset(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Query(query): Query<Confirmation>,
    Body(body): Body<Confirmation>,
) -> Result<Json<Done>, Problem> {
    let words = [query.confirm, body.confirm];
    if !words.iter().flatten().any(|word| word == CONFIRMATION) {
        let message = "A reset deletes the memories of all users and must be confirmed.";
        return Err(Problem::new(ErrorCode::ConfirmationRequired, message));
    }
    let deleted = app.delete_all(None, None).await?;
    tracing::warn!(memories = deleted, key = %caller.name, "all memories were deleted");
    Ok(Json(Done::new("All memories reset")))
}
