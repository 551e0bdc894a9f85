//! OpenAI's chat completions, with memory: OpenAI clients only need to change their base URL.

use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use mnemon_engine::ChatContext;
use mnemon_models::{ChatAnswer, Finish};
use mnemon_store::SCOPE_KEYS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{Messages, MessagesDoc, UsedMemory, one_value, tag};
use super::sse::{Events, stream};
use crate::answer;
use crate::auth::{Caller, Reader};
use crate::error::{OpenAiErrorBody, Problem};
use crate::http::extract::{Body, Json};
use crate::service::{App, AppState, Turn};

pub(super) fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(complete)).routes(routes!(models))
}

/// Request of `POST /v1/chat/completions`. Other fields, such as `model` and `temperature`, are named in `ignored` of the
/// answer: the model and its settings are configured on the server.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequest)]
pub(super) struct CompletionBody {
    /// The conversation so far. The last message must be the user's; it is answered.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// Whether to answer with server-sent events.
    stream: Option<bool>,
    /// With `stream`: `include_usage` adds an event with the number of tokens.
    #[schema(value_type = Option<Object>)]
    stream_options: Option<Value>,
    /// Most tokens of the answer.
    max_tokens: Option<u32>,
    /// The newer name of `max_tokens`, with the same value if both are given.
    max_completion_tokens: Option<u32>,
    /// The user, if the key is an admin key. Another user than that of a user's key is named in `ignored`.
    user: Option<String>,
    /// `agent_id` and `run_id`, which are stored with the extracted facts, and `user_id`, the same as `user`. Other keys are
    /// named in `ignored`.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether to extract and store facts from this turn; default true. A read-only key must send `false`.
    remember: Option<bool>,
    /// Refused: tools are not supported.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Value>>,
    /// Only type `text` is supported.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
    /// Only 1 is supported.
    n: Option<u32>,
}

/// Response of `POST /v1/chat/completions`.
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
    usage: Usage,
    /// The memories that the model was given, best first.
    memories_used: Vec<UsedMemory>,
}

/// The only choice.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionChoice)]
struct Choice {
    /// 0
    index: u32,
    message: AnswerMessage,
    /// `stop` or `length`
    finish_reason: &'static str,
}

/// The answer of the model.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionMessage)]
struct AnswerMessage {
    /// `assistant`
    role: &'static str,
    content: String,
}

/// The number of tokens; 0 if the model's endpoint does not report it.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletionUsage)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl Usage {
    fn of(answer: &ChatAnswer) -> Self {
        let usage = answer.usage.unwrap_or_default();
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
        }
    }
}

/// What the events of one streamed answer have in common.
struct StreamHeader {
    id: String,
    created: i64,
    model: String,
}

impl StreamHeader {
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
    fn turn(self, caller: &Caller) -> Result<Turn, Problem> {
        if self.tools.is_some_and(|tools| !tools.is_empty()) {
            return Err(Problem::bad_request("tools are not supported").param("tools"));
        }
        if self.response_format.is_some_and(|format| !format.is_null() && format["type"] != "text") {
            let message = "response_format is not supported: describe the format in the messages instead";
            return Err(Problem::bad_request(message).param("response_format"));
        }
        if self.stream_options.as_ref().is_some_and(|options| !options.is_null() && !options.is_object()) {
            return Err(Problem::bad_request("stream_options must be an object").param("stream_options"));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(Problem::bad_request("n must be 1").param("n"));
        }
        let metadata = self.metadata.unwrap_or_default();
        let id = |key: &str| match metadata.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) => Ok(Some(id.as_str())),
            Some(_) => Err(Problem::bad_request(format!("metadata.{key} must be a string")).param("metadata")),
        };
        // OpenAI clients may send any string as `user`, so the user of the key takes precedence.
        let user = match (&caller.user, self.user.as_deref()) {
            (Some(_), Some(user)) if !caller.is_named(user) => {
                answer::ignore("user");
                None
            }
            (_, user) => user,
        };
        let user = one_value(&[("user", user), ("metadata.user_id", id("user_id")?)])?;
        let scope = caller.scope(user, id("agent_id")?, id("run_id")?)?;
        for key in metadata.keys().filter(|key| !SCOPE_KEYS.contains(&key.as_str())) {
            answer::ignore(&format!("metadata.{key}"));
        }
        let options = self.stream_options.as_ref().and_then(Value::as_object).into_iter().flatten();
        for (key, _) in options.filter(|(key, _)| *key != "include_usage" || self.stream != Some(true)) {
            answer::ignore(&format!("stream_options.{key}"));
        }
        let max_tokens =
            one_value(&[("max_tokens", self.max_tokens), ("max_completion_tokens", self.max_completion_tokens)])?;
        Turn::new(caller, scope, self.messages.0, max_tokens, self.remember)
    }
}

/// Chat completions with memory
///
/// The language model gets the conversation together with the user's memories, and answers. Facts are extracted from
/// the turn after the answer is sent.
#[utoipa::path(post, path = "/v1/chat/completions", tag = tag::OPENAI, request_body = CompletionBody,
    responses((status = 200, body = Completion), (status = 502, body = OpenAiErrorBody)))]
pub(super) async fn complete(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<CompletionBody>,
) -> Result<Response, Problem> {
    let streamed = body.stream.unwrap_or(false);
    let with_usage = body.stream_options.as_ref().is_some_and(|options| options["include_usage"] == true);
    let turn = body.turn(&caller)?;
    let (turn, mut context) = app.chat_context(turn).await?;
    let (answering, header) = (app.clone(), StreamHeader::new(&app));
    if streamed {
        return Ok(stream(&app, move |events| {
            let memories = UsedMemory::list(&context, None);
            if let Some(answer) = stream_answer(&answering, &mut context, &header, &memories, with_usage, events) {
                learn_later(&answering, &turn, &answer.text);
            }
        }));
    }
    let answered = app.blocking_on_model(move || {
        let answer = answering.engine.reply(&mut context, None)?;
        learn_later(&answering, &turn, &answer.text);
        let memories = UsedMemory::list(&context, Some(&answer.text));
        Ok::<_, Problem>((answer, memories))
    });
    let (answer, memories_used) = answered.await??;
    let StreamHeader { id, created, model } = header;
    let usage = Usage::of(&answer);
    let finish_reason = finish_reason(&answer);
    let message = AnswerMessage { role: "assistant", content: answer.text };
    let choices = [Choice { index: 0, message, finish_reason }];
    Ok(Json(Completion { id, object: "chat.completion", created, model, choices, usage, memories_used })
        .into_response())
}

/// Streams the answer, and returns it when it is complete. `None` after an error, or if the client has disconnected.
fn stream_answer(
    app: &App,
    context: &mut ChatContext,
    header: &StreamHeader,
    memories: &[UsedMemory],
    with_usage: bool,
    events: &Events,
) -> Option<ChatAnswer> {
    let mut first = header.event(&json!({"role": "assistant", "content": ""}), None);
    first["memories_used"] = json!(memories);
    if !events.send(None, &first) {
        return None;
    }
    let mut on_delta = |text: &str| {
        if events.send(None, &header.event(&json!({"content": text}), None)) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let answer = match app.engine.reply(context, Some(&mut on_delta)) {
        Ok(answer) => answer,
        Err(error) => {
            events.send(None, &json!(Problem::from(error).to_openai()));
            return None;
        }
    };
    events.send(None, &header.event(&json!({}), Some(finish_reason(&answer))));
    if with_usage {
        let mut usage = header.event(&json!({}), None);
        usage["choices"] = json!([]);
        usage["usage"] = json!(Usage::of(&answer));
        events.send(None, &usage);
    }
    events.send_raw("data: [DONE]\n\n".to_owned());
    Some(answer)
}

/// Enqueues the extraction of facts from a turn. The answer is sent in any case, so a failure is only logged.
fn learn_later(app: &App, turn: &Turn, answer: &str) {
    if !turn.remember {
        return;
    }
    if let Err(error) = app.learn_later(turn.learn_request(answer)) {
        tracing::error!(%error, "could not enqueue the extraction of a chat turn");
    }
}

fn finish_reason(answer: &ChatAnswer) -> &'static str {
    match answer.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// The language model of the server, as a list.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelList)]
struct Models {
    /// `list`
    object: &'static str,
    /// One model; empty if none is configured.
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

/// List the language model of the server
#[utoipa::path(get, path = "/v1/models", tag = tag::OPENAI, responses((status = 200, body = Models)))]
async fn models(State(app): State<AppState>, _: Reader) -> Json<Models> {
    let model = |name: &str| Model { id: name.to_owned(), object: "model", created: 0, owned_by: "mnemon" };
    let data = app.engine.language_model().map(|llm| model(llm.name()));
    Json(Models { object: "list", data: data.into_iter().collect() })
}
