//! Feedback on a memory.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_store::{Collection, Durability};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dto::IdText;
use crate::answer;
use crate::api::dto::tag;
use crate::auth::Writer;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, memory_id};
use crate::service::AppState;

pub(super) const KIND: &str = "feedback";
const VALUES: [&str; 3] = ["POSITIVE", "NEGATIVE", "VERY_NEGATIVE"];
/// The longest reason, in bytes.
const MAX_REASON: usize = 10_000;

/// Request of `POST /v1/feedback`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformFeedback)]
pub(super) struct FeedbackBody {
    #[schema(value_type = String)]
    memory_id: IdText,
    /// `POSITIVE`, `NEGATIVE` or `VERY_NEGATIVE`; null deletes the feedback.
    feedback: Option<String>,
    feedback_reason: Option<String>,
}

/// The stored feedback.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformFeedbackKept)]
pub(super) struct Feedback {
    /// The id of the memory.
    id: String,
    feedback: Option<String>,
    feedback_reason: Option<String>,
}

/// The feedback in its document, whose id is the id of the memory.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredFeedback {
    feedback: Option<String>,
    reason: Option<String>,
    at: Timestamp,
}

/// Give feedback on a memory
///
/// Replaces earlier feedback on the memory. Ranking does not use it.
#[utoipa::path(post, path = "/v1/feedback", tag = tag::PLATFORM, request_body = FeedbackBody,
    responses((status = 200, body = Feedback), (status = 404, body = ErrorBody)))]
pub(super) async fn give(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(body): Body<FeedbackBody>,
) -> Result<Json<Feedback>, Problem> {
    let id = memory_id(&body.memory_id.text())?;
    let feedback = body.feedback.map(|word| word.trim().to_uppercase()).filter(|word| !word.is_empty());
    if let Some(word) = feedback.as_deref().filter(|word| !VALUES.contains(word)) {
        let word: String = word.chars().take(40).collect();
        return Err(Problem::bad_request(format!("feedback: `{word}` is not one of {}, or null", VALUES.join(", "))));
    }
    if feedback.is_none() && body.feedback_reason.is_some() {
        answer::ignore("feedback_reason");
    }
    let reason = body.feedback_reason.filter(|_| feedback.is_some());
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
        return Err(Problem::bad_request(format!("feedback_reason: must have at most {MAX_REASON} bytes")));
    }
    let feedback = Feedback { id: id.to_string(), feedback, feedback_reason: reason };
    let saving = app.clone();
    let saved = app.blocking(move || {
        let owner = saving.own_memory(&caller, id)?.payload.scope().user_id;
        let stored = Collection::<StoredFeedback>::new(saving.documents.clone(), KIND);
        if feedback.feedback.is_none() {
            stored.remove(&feedback.id)?;
        } else {
            let (value, reason) = (feedback.feedback.clone(), feedback.feedback_reason.clone());
            let body = StoredFeedback { feedback: value, reason, at: Timestamp::now() };
            let document = stored.document(feedback.id.as_str(), body).owned_by(owner.as_deref());
            stored.put(&[document], Durability::Synced)?;
        }
        Ok::<_, Problem>(feedback)
    });
    Ok(Json(saved.await??))
}
