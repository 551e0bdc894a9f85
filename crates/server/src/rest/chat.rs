//! `/chat` of the runbook's backend: an answer with what is remembered at hand, and what was said is remembered.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use mnemon_engine::{AddRequest, ChatContext, ChatTurn, LearnRequest, MAX_TEXT_BYTES, Message};
use mnemon_store::Scope;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::dto::{Messages, MessagesDoc};
use super::events_stream::{Events, stream};
use crate::app::{App, Shared};
use crate::auth::{Caller, Reader};
use crate::body::{Body, Json};
use crate::error::Problem;
use crate::learning::Told;

/// What to answer.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChatBody {
    /// What the user says.
    message: Option<String>,
    /// Or the conversation so far; its last message is answered. System messages instruct the model.
    #[schema(value_type = Option<MessagesDoc>)]
    messages: Option<Messages>,
    /// The person; a user's key fills in its own. All of the person's memories are at hand.
    user_id: Option<String>,
    /// The agent; what is learnt is kept under it as well.
    agent_id: Option<String>,
    /// The run or conversation; likewise.
    run_id: Option<String>,
    /// Answers with server-sent events: `memories` first, `delta` for each piece of the answer, `done` with all of it.
    stream: Option<bool>,
    /// Whether what was said is remembered, which is the default. A key that may only read must say `false`.
    remember: Option<bool>,
    /// The most tokens of the answer.
    max_tokens: Option<u32>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatReply {
    /// What the language model says; `[m1]` stands for the first of `memories_used`.
    response: String,
    /// What was at hand, best first.
    memories_used: Vec<UsedMemory>,
    /// What was learnt from this turn and was not known before.
    memories_added: Vec<LearntMemory>,
    /// Where what was said waits to be learnt from: see /v1/event/{event_id}.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Why nothing was learnt.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// A memory that was at hand.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct UsedMemory {
    id: String,
    memory: String,
    /// 0 ..= 1: how well it fits what was said.
    score: f32,
    /// What the answer calls it.
    label: String,
    /// Whether the answer names it; not known before there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cited: Option<bool>,
}

/// A memory that was learnt.
#[derive(Serialize, ToSchema)]
struct LearntMemory {
    id: String,
    memory: String,
}

/// A turn with what becomes of it afterwards.
pub(super) struct Turn {
    pub(super) turn: ChatTurn,
    /// Where what was said is kept.
    pub(super) scope: Scope,
    pub(super) remember: bool,
}

/// Whether a turn is remembered, which is the default, and takes a key that may write.
pub(super) fn remembers(caller: &Caller, asked: Option<bool>) -> Result<bool, Problem> {
    let remember = asked.unwrap_or(true);
    if remember && !caller.access.write {
        return Err(Problem::missing_scope("write"));
    }
    Ok(remember)
}

impl Turn {
    /// A turn of a conversation under a scope of [`crate::auth::Caller::scope`]. All that the person said is at hand,
    /// whichever agent and run it was said to; without a person all of the agent's, and without one the run's.
    pub(super) fn new(scope: Scope, messages: Vec<Message>, max_tokens: Option<u32>, remember: bool) -> Self {
        let near = match (&scope.user_id, &scope.agent_id) {
            (Some(user), _) => Scope { user_id: Some(user.clone()), ..Scope::default() },
            (None, Some(agent)) => Scope { agent_id: Some(agent.clone()), ..Scope::default() },
            (None, None) => scope.clone(),
        };
        Self { turn: ChatTurn { scope: near, messages, max_tokens }, scope, remember }
    }

    /// What is learnt from this turn: the last message, and as much of the answer as a message may hold. What came before
    /// was learnt from in its own turn.
    pub(super) fn lesson(&self, answer: &str) -> LearnRequest {
        let mut messages: Vec<Message> = self.turn.messages.last().cloned().into_iter().collect();
        let content = answer[..answer.floor_char_boundary(MAX_TEXT_BYTES)].to_owned();
        messages.push(Message { role: "assistant".into(), content, ..Message::default() });
        let add = AddRequest { scope: self.scope.clone(), messages, ..AddRequest::default() };
        LearnRequest { add, ..LearnRequest::default() }
    }
}

/// What was at hand, and once there is an answer, whether it was named.
pub(super) fn used(recalled: &ChatContext, answer: Option<&str>) -> Vec<UsedMemory> {
    let memory = |(place, hit): (usize, &mnemon_engine::SearchHit)| UsedMemory {
        id: hit.memory.id.to_string(),
        memory: hit.memory.payload.text().to_owned(),
        score: hit.score,
        label: format!("m{}", place + 1),
        cited: answer.map(|answer| recalled.cites(answer, place)),
    };
    recalled.memories.iter().enumerate().map(memory).collect()
}

/// Chat with memory
///
/// What is remembered of the person is put before the conversation, the language model answers, and what was said is
/// learnt from.
#[utoipa::path(post, path = "/chat", tag = "runbook", request_body = ChatBody,
    responses((status = 200, body = ChatReply)))]
pub(super) async fn chat(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<ChatBody>,
) -> Result<Response, Problem> {
    let mut messages = body.messages.map(|messages| messages.0).unwrap_or_default();
    messages.extend(body.message.map(|content| Message { role: "user".into(), content, ..Message::default() }));
    let scope = caller.scope(body.user_id.as_deref(), body.agent_id.as_deref(), body.run_id.as_deref())?;
    let turn = Turn::new(scope, messages, body.max_tokens, remembers(&caller, body.remember)?);
    let recalling = app.clone();
    let (turn, recalled) = app
        .blocking(move || {
            let recalled = recalling.engine.recall(&turn.turn)?;
            Ok::<_, Problem>((turn, recalled))
        })
        .await??;
    if body.stream.unwrap_or(false) {
        let answering = app.clone();
        return Ok(stream(&app, move |events| answer_in_pieces(&answering, &turn, &recalled, events)));
    }
    let answering = app.clone();
    let reply = app.thinking(move || {
        let answer = answering.engine.reply(&recalled, None)?;
        Ok::<_, Problem>(after(&answering, &turn, &recalled, answer.text))
    });
    Ok(Json(reply.await??).into_response())
}

/// Learns from the answer, and tells of both. Blocks.
fn after(app: &App, turn: &Turn, recalled: &ChatContext, response: String) -> ChatReply {
    let memories_used = used(recalled, Some(&response));
    let mut reply = ChatReply { response, memories_used, memories_added: Vec::new(), event_id: None, warning: None };
    if !turn.remember {
        return reply;
    }
    match app.learn_now(turn.lesson(&reply.response)) {
        Ok(Told { added: Ok(added), .. }) => {
            let memory = |added: crate::learning::AddedFact| LearntMemory { id: added.id, memory: added.memory };
            reply.memories_added = added.into_iter().map(memory).collect();
        }
        Ok(Told { added: Err(reason), event_id, .. }) => {
            reply.event_id = Some(event_id);
            reply.warning = Some(format!("what was said is kept, and learnt from once a model is back: {reason}"));
        }
        // The answer is there all the same.
        Err(problem) => reply.warning = Some(format!("nothing was learnt from this: {}", problem.message)),
    }
    reply
}

fn answer_in_pieces(app: &App, turn: &Turn, recalled: &ChatContext, events: &Events) {
    if !events.send(Some("memories"), &json!({"memories_used": used(recalled, None)})) {
        return;
    }
    let mut piece = |text: &str| match events.send(Some("delta"), &json!({"text": text})) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    match app.engine.reply(recalled, Some(&mut piece)) {
        Ok(answer) => {
            let reply = after(app, turn, recalled, answer.text);
            events.send(Some("done"), &json!(reply));
        }
        Err(error) => {
            let problem = Problem::from(error);
            events.send(Some("error"), &json!({"error": problem.message, "code": problem.code}));
        }
    }
}
