//! `POST /chat` of the legacy backend: the model answers with the user's memories, and facts are extracted from the
//! turn.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use mnemon_engine::{AddOutcome, AddedMemory, ChatContext, LearnResult, Message};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::dto::{Messages, MessagesDoc, UsedMemory, tag};
use crate::api::sse::{Events, stream};
use crate::auth::Reader;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json};
use crate::service::{App, AppState, Turn};

/// Request of `POST /chat`.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChatBody {
    /// The user's message.
    message: Option<String>,
    /// The conversation so far, as an alternative to `message`. The last message is answered; system messages instruct
    /// the model.
    #[schema(value_type = Option<MessagesDoc>)]
    messages: Option<Messages>,
    /// The user, by default the user of the key. The model sees the memories of this user.
    user_id: Option<String>,
    /// The agent; stored with the extracted facts.
    agent_id: Option<String>,
    /// The run or conversation; stored with the extracted facts.
    run_id: Option<String>,
    /// Whether to answer with server-sent events: `memories`, then `delta` for each part of the answer, then `done`
    /// with the whole response.
    stream: Option<bool>,
    /// Whether to extract and store facts from this turn; default true. A read-only key must send `false`.
    remember: Option<bool>,
    /// Most tokens of the answer.
    max_tokens: Option<u32>,
}

/// Response of `POST /chat`.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatReply {
    /// The answer of the language model. `[m1]` cites the first of `memories_used`.
    response: String,
    /// The memories that the model was given, best first.
    memories_used: Vec<UsedMemory>,
    /// The new facts that were extracted from this turn.
    memories_added: Vec<LearntMemory>,
    /// Present if the extraction is queued: its event, see /v1/event/{event_id}.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Why no facts were stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// A memory that was extracted and stored.
#[derive(Serialize, ToSchema)]
struct LearntMemory {
    id: String,
    memory: String,
}

impl From<AddedMemory> for LearntMemory {
    fn from(added: AddedMemory) -> Self {
        Self { id: added.id.to_string(), memory: added.memory }
    }
}

/// Chat with memory
///
/// The language model gets the conversation together with the user's memories, and answers. Facts are extracted from
/// the turn and stored.
#[utoipa::path(post, path = "/chat", tag = tag::LEGACY, request_body = ChatBody,
    responses((status = 200, body = ChatReply), (status = 502, body = ErrorBody)))]
pub(super) async fn chat(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<ChatBody>,
) -> Result<Response, Problem> {
    let mut messages = body.messages.map(|messages| messages.0).unwrap_or_default();
    messages.extend(body.message.map(|content| Message { content, ..Message::default() }));
    let scope = caller.scope(body.user_id.as_deref(), body.agent_id.as_deref(), body.run_id.as_deref())?;
    let turn = Turn::new(&caller, scope, messages, body.max_tokens, body.remember)?;
    let (turn, mut context) = app.chat_context(turn).await?;
    let answering = app.clone();
    if body.stream.unwrap_or(false) {
        return Ok(stream(&app, move |events| stream_answer(&answering, &turn, &mut context, events)));
    }
    let reply = app.blocking_on_model(move || {
        let answer = answering.engine.reply(&mut context, None)?;
        Ok::<_, Problem>(reply(&answering, &turn, &context, answer.text))
    });
    Ok(Json(reply.await??).into_response())
}

/// Extracts facts from the turn, and makes the response. Blocks.
fn reply(app: &App, turn: &Turn, context: &ChatContext, response: String) -> ChatReply {
    let memories_used = UsedMemory::list(context, Some(&response));
    let mut reply = ChatReply { response, memories_used, memories_added: Vec::new(), event_id: None, warning: None };
    if !turn.remember {
        return reply;
    }
    let not_stored = |problem: Problem| Some(format!("no facts were stored: {}", problem.message));
    match app.learn_blocking(turn.learn_request(&reply.response)) {
        Ok(LearnResult { outcome: AddOutcome::Stored(added), .. }) => {
            reply.memories_added = added.into_iter().map(LearntMemory::from).collect();
        }
        Ok(LearnResult { outcome: AddOutcome::Pending { public_reason, .. }, event_id, .. }) => {
            reply.event_id = Some(event_id);
            let reason = format!("the extraction of facts is queued until a model is available: {public_reason}");
            reply.warning = Some(reason);
        }
        Ok(LearnResult { outcome: AddOutcome::Parked { public_reason, .. }, event_id, .. }) => {
            reply.event_id = Some(event_id);
            reply.warning = Some(format!("no facts were stored: {public_reason}"));
        }
        Ok(LearnResult { outcome: AddOutcome::Cancelled, .. }) => reply.warning = not_stored(Problem::cancelled()),
        // The answer itself succeeded.
        Err(error) => reply.warning = not_stored(error.into()),
    }
    reply
}

fn stream_answer(app: &App, turn: &Turn, context: &mut ChatContext, events: &Events) {
    if !events.send(Some("memories"), &json!({"memories_used": UsedMemory::list(context, None)})) {
        return;
    }
    let mut on_delta = |text: &str| {
        if events.send(Some("delta"), &json!({"text": text})) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    match app.engine.reply(context, Some(&mut on_delta)) {
        Ok(answer) => {
            let reply = reply(app, turn, context, answer.text);
            events.send(Some("done"), &json!(reply));
        }
        Err(error) => {
            let problem = Problem::from(error);
            events.send(Some("error"), &json!({"error": problem.message, "code": problem.code.as_str()}));
        }
    }
}
