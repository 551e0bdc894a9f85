//! `/generate-instructions` of mem0's server.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Reader;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::Body;
use crate::service::app::Shared;

/// What memories are for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct InstructionsBody {
    /// What the application does with memories, in your own words.
    #[schema(min_length = 1, pattern = r"\S")]
    use_case: String,
}

/// Suggest instructions for a use case
///
/// Not written yet: 503 without a language model, 501 with one.
#[utoipa::path(post, path = "/generate-instructions", tag = "mem0 server", request_body = InstructionsBody,
    responses((status = 503, body = ErrorBody)))]
pub(crate) async fn generate(State(app): State<Shared>, _: Reader, Body(body): Body<InstructionsBody>) -> Problem {
    if body.use_case.trim().is_empty() {
        let message = "String should have at least 1 character".to_owned();
        return Problem::unprocessable(&["body", "use_case"], "string_too_short", message, body.use_case.into());
    }
    app.not_asked("/generate-instructions")
}
