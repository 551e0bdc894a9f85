//! What callers think of a memory.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_store::{Document, Durability};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::TAG;
use super::dto::IdText;
use crate::auth::Writer;
use crate::error::Problem;
use crate::http::extract::{Body, Json, memory_id};
use crate::service::app::Shared;

const KIND: &str = "feedback";
const WORDS: [&str; 3] = ["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"];
const MAX_REASON: usize = 10_000;

/// What somebody thinks of a memory.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformFeedback)]
pub(super) struct FeedbackBody {
    #[schema(value_type = String)]
    memory_id: IdText,
    /// POSITIVE, NEGATIVE or VERY_NEGATIVE; null takes back what was said.
    feedback: Option<String>,
    feedback_reason: Option<String>,
}

/// What is kept of it.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformFeedbackKept)]
pub(super) struct Feedback {
    /// The memory's id.
    id: String,
    feedback: Option<String>,
    feedback_reason: Option<String>,
}

/// Say what you think of a memory
///
/// The last word about a memory is kept; ranking does not use it.
#[utoipa::path(post, path = "/v1/feedback", tag = TAG, request_body = FeedbackBody,
    responses((status = 200, body = Feedback)))]
pub(super) async fn give(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(body): Body<FeedbackBody>,
) -> Result<Json<Feedback>, Problem> {
    let id = memory_id(&body.memory_id.text())?;
    let feedback = body.feedback.map(|word| word.trim().to_uppercase()).filter(|word| !word.is_empty());
    if let Some(word) = feedback.as_deref().filter(|word| !WORDS.contains(word)) {
        let word: String = word.chars().take(40).collect();
        return Err(Problem::bad_request(format!("feedback: `{word}` is none of {}, or null", WORDS.join(", "))));
    }
    let reason = body.feedback_reason.filter(|_| feedback.is_some());
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
        return Err(Problem::bad_request(format!("feedback_reason: give at most {MAX_REASON} bytes")));
    }
    let kept = Feedback { id: id.to_string(), feedback, feedback_reason: reason };
    let shared = app.clone();
    let kept = app.blocking(move || {
        let owner = shared.must_own(&caller, id)?.payload.scope().user_id;
        if kept.feedback.is_none() {
            shared.ledger.take(KIND, &kept.id)?;
        } else {
            let said = json!({"feedback": kept.feedback, "reason": kept.feedback_reason, "at": Timestamp::now()});
            let document = Document::new(KIND, kept.id.as_str(), said).of(owner.as_deref());
            shared.ledger.put(&[document], Durability::Synced)?;
        }
        Ok::<_, Problem>(kept)
    });
    Ok(Json(kept.await??))
}
