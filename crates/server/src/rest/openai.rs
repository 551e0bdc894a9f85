//! OpenAI's chat completions, with memory: any of its clients gets it by another base URL.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use mnemon_engine::Message;
use mnemon_models::{ChatAnswer, Finish};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::{Turn, UsedMemory, remembers, used};
use super::dto::{Messages, MessagesDoc};
use super::events_stream::{Events, stream};
use crate::app::{App, Shared};
use crate::auth::Reader;
use crate::body::{Body, Json};
use crate::error::Problem;

const TAG: &str = "OpenAI";

pub(super) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(complete)).routes(routes!(models))
}

/// A conversation to go on with. Fields that are not named here have no effect: the model is the server's, and so are its
/// settings.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequest)]
pub(super) struct CompletionBody {
    /// The conversation so far; its last message, a user's, is answered.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// Answers with server-sent events.
    stream: Option<bool>,
    /// `include_usage` adds an event with the tokens.
    #[schema(value_type = Option<Object>)]
    stream_options: Option<Value>,
    /// The most tokens of the answer.
    max_tokens: Option<u32>,
    /// Its newer name.
    max_completion_tokens: Option<u32>,
    /// The person, for an admin's key; a user's key has its own.
    user: Option<String>,
    /// `agent_id` and `run_id`, under which what is learnt is kept as well.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether what was said is remembered, which is the default. A key that may only read must say `false`.
    remember: Option<bool>,
    /// Refused: tools are not passed on.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Value>>,
    /// Only of type `text`: the form of an answer is not passed on.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
    /// Only 1.
    n: Option<u32>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletion)]
pub(super) struct Completion {
    id: String,
    /// `chat.completion`
    object: &'static str,
    /// Unix seconds.
    created: i64,
    /// The server's language model.
    model: String,
    choices: [Choice; 1],
    usage: Tokens,
    /// What was at hand, best first.
    memories_used: Vec<UsedMemory>,
}

/// The one answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionChoice)]
struct Choice {
    /// 0
    index: u32,
    message: Answered,
    /// `stop` or `length`
    finish_reason: &'static str,
}

/// What the model says.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionMessage)]
struct Answered {
    /// `assistant`
    role: &'static str,
    content: String,
}

/// What it took; 0 where the model's endpoint does not say.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionUsage)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl Tokens {
    fn of(answer: &ChatAnswer) -> Self {
        let usage = answer.usage.unwrap_or_default();
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
        }
    }
}

/// What the events of one answer have in common.
struct Frame {
    id: String,
    created: i64,
    model: String,
}

impl Frame {
    fn new(app: &App) -> Self {
        let model = app.engine.language_model().map_or("", |llm| llm.name()).to_owned();
        let id = format!("chatcmpl-{}", uuid::Uuid::new_v4().simple());
        Self { id, created: Timestamp::now().as_second(), model }
    }

    fn event(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    }
}

impl CompletionBody {
    fn turn(self, caller: &crate::auth::Caller) -> Result<Turn, Problem> {
        if self.tools.is_some_and(|tools| !tools.is_empty()) {
            return Err(Problem::bad_request("tools are not passed on to the language model: leave them out"));
        }
        if self.response_format.is_some_and(|format| !format.is_null() && format["type"] != "text") {
            let told =
                "response_format is not passed on to the language model: leave it out, and say it in the messages";
            return Err(Problem::bad_request(told));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(Problem::bad_request("n can only be 1"));
        }
        let metadata = self.metadata.unwrap_or_default();
        let named = |key: &str| match metadata.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) => Ok(Some(id.as_str())),
            Some(_) => Err(Problem::bad_request(format!("metadata.{key} must be a text"))),
        };
        // Clients put anything there; whose memory it is the key says.
        let user = self.user.as_deref().filter(|_| caller.user.is_none());
        let scope = caller.scope(user.or(named("user_id")?), named("agent_id")?, named("run_id")?)?;
        let messages: Vec<Message> = self.messages.0;
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        Ok(Turn::new(scope, messages, max_tokens, remembers(caller, self.remember)?))
    }
}

/// A problem in OpenAI's form, which is where its clients look for the reason.
pub(super) struct OpenAiProblem(Problem);

impl From<Problem> for OpenAiProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for OpenAiProblem {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let kind = if problem.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let error = json!({"message": problem.message, "type": kind, "param": null, "code": problem.code});
        (problem.status, axum::Json(json!({"error": error}))).into_response()
    }
}

/// Chat completions with memory
///
/// What is remembered of the key's user is put before the conversation. What was said is learnt from afterwards; the answer
/// does not wait for it.
#[utoipa::path(post, path = "/v1/chat/completions", tag = TAG, request_body = CompletionBody,
    responses((status = 200, body = Completion)))]
pub(super) async fn complete(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<CompletionBody>,
) -> Result<Response, OpenAiProblem> {
    let in_pieces = body.stream.unwrap_or(false);
    let with_usage = body.stream_options.as_ref().is_some_and(|options| options["include_usage"] == true);
    let turn = body.turn(&caller)?;
    let recalling = app.clone();
    let (turn, recalled) = app
        .blocking(move || {
            let recalled = recalling.engine.recall(&turn.turn)?;
            Ok::<_, Problem>((turn, recalled))
        })
        .await??;
    let (answering, frame) = (app.clone(), Frame::new(&app));
    if in_pieces {
        return Ok(stream(&app, move |events| {
            let memories = used(&recalled, None);
            if let Some(answer) = answer_in_pieces(&answering, &recalled, &frame, &memories, with_usage, events) {
                learn(&answering, &turn, &answer.text);
            }
        }));
    }
    let answered = app.thinking(move || {
        let answer = answering.engine.reply(&recalled, None)?;
        learn(&answering, &turn, &answer.text);
        let memories = used(&recalled, Some(&answer.text));
        Ok::<_, Problem>((answer, memories))
    });
    let (answer, memories_used) = answered.await??;
    let Frame { id, created, model } = frame;
    let usage = Tokens::of(&answer);
    let finish_reason = finish(&answer);
    let message = Answered { role: "assistant", content: answer.text };
    let choices = [Choice { index: 0, message, finish_reason }];
    Ok(Json(Completion { id, object: "chat.completion", created, model, choices, usage, memories_used })
        .into_response())
}

/// The answer, once all of it was sent; `None` if there is none, or nobody to read it.
fn answer_in_pieces(
    app: &App,
    recalled: &mnemon_engine::ChatContext,
    frame: &Frame,
    memories: &[UsedMemory],
    with_usage: bool,
    events: &Events,
) -> Option<ChatAnswer> {
    let mut first = frame.event(&json!({"role": "assistant", "content": ""}), None);
    first["memories_used"] = json!(memories);
    if !events.send(None, &first) {
        return None;
    }
    let mut piece = |text: &str| match events.send(None, &frame.event(&json!({"content": text}), None)) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let answer = match app.engine.reply(recalled, Some(&mut piece)) {
        Ok(answer) => answer,
        Err(error) => {
            let problem = Problem::from(error);
            events.send(
                None,
                &json!({"error": {"message": problem.message, "code": problem.code, "type": "server_error"}}),
            );
            return None;
        }
    };
    events.send(None, &frame.event(&json!({}), Some(finish(&answer))));
    if with_usage {
        let mut usage = frame.event(&json!({}), None);
        usage["choices"] = json!([]);
        usage["usage"] = json!(Tokens::of(&answer));
        events.send(None, &usage);
    }
    events.text("data: [DONE]\n\n".to_owned());
    Some(answer)
}

/// Keeps the turn to be learnt from. The answer stands in any case.
fn learn(app: &App, turn: &Turn, answer: &str) {
    if !turn.remember {
        return;
    }
    if let Err(problem) = app.learn_later(turn.lesson(answer)) {
        tracing::error!(reason = problem.message, "a turn of a conversation could not be kept");
    }
}

fn finish(answer: &ChatAnswer) -> &'static str {
    match answer.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// The language models of the server.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelList)]
struct Models {
    /// `list`
    object: &'static str,
    /// One, or none.
    data: Vec<Model>,
}

/// A language model.
#[derive(Serialize, ToSchema)]
struct Model {
    id: String,
    /// `model`
    object: &'static str,
    /// 0
    created: i64,
    /// `mnemon`
    owned_by: &'static str,
}

/// The language model that answers
#[utoipa::path(get, path = "/v1/models", tag = TAG, responses((status = 200, body = Models)))]
async fn models(State(app): State<Shared>, _: Reader) -> Json<Models> {
    let model = |name: &str| Model { id: name.to_owned(), object: "model", created: 0, owned_by: "mnemon" };
    let data = app.engine.language_model().map(|llm| model(llm.name()));
    Json(Models { object: "list", data: data.into_iter().collect() })
}
