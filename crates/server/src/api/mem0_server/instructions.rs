//! `/generate-instructions` of mem0's server.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::dto::tag;
use crate::auth::Reader;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::Body;
use crate::service::AppState;

/// Request of `POST /generate-instructions`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct InstructionsBody {
    /// What the application uses memories for.
    #[schema(min_length = 1, pattern = r"\S")]
    use_case: String,
}

/// Suggest instructions for a use case
///
/// Not implemented: answers 501, or 503 if no language model is configured.
#[utoipa::path(post, path = "/generate-instructions", tag = tag::MEM0_SERVER, request_body = InstructionsBody,
    responses((status = 503, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(crate) async fn generate(State(app): State<AppState>, _: Reader, Body(body): Body<InstructionsBody>) -> Problem {
    if body.use_case.trim().is_empty() {
        let message = "String should have at least 1 character".to_owned();
        return Problem::unprocessable(&["body", "use_case"], "string_too_short", message, body.use_case.into());
    }
    app.llm_feature_error("/generate-instructions")
}
