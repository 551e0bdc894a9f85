//! Requests and answers in the form of each provider.

mod anthropic;
mod ollama;
mod openai;

use serde_json::{Map, Value};

use super::quirks::Quirks;
use super::{ChatRequest, Finish, LlmConfig, LlmProvider, Usage};

/// An answer, or a piece of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text.
    pub(super) text: String,
    /// What the model thought, where that comes apart from the text.
    pub(super) thought: String,
    /// Why it ends, if it does.
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
}

/// What is appended to the base URL.
pub(super) fn path(provider: LlmProvider) -> &'static str {
    match provider {
        LlmProvider::OpenAi => "/chat/completions",
        LlmProvider::Anthropic => "/messages",
        LlmProvider::Ollama => "/api/chat",
    }
}

/// The body of a request: what is needed and what is set, without what the endpoint does not take.
pub(super) fn body(config: &LlmConfig, request: &ChatRequest, quirks: &Quirks, stream: bool) -> Map<String, Value> {
    let mut body = match config.provider {
        LlmProvider::OpenAi => openai::body(config, request, quirks, stream),
        LlmProvider::Anthropic => anthropic::body(config, request, stream),
        LlmProvider::Ollama => ollama::body(config, request, quirks, stream),
    };
    for (key, value) in &config.extra {
        body.entry(key.as_str()).or_insert_with(|| value.clone());
    }
    body.retain(|key, _| !quirks.dropped.contains(key));
    body
}

/// A whole answer, or what it is instead.
pub(super) fn answer(provider: LlmProvider, body: &[u8]) -> Result<Piece, String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON ({error})"))?;
    match provider {
        LlmProvider::OpenAi => openai::answer(&json),
        LlmProvider::Anthropic => anthropic::answer(&json),
        LlmProvider::Ollama => ollama::answer(&json),
    }
}

/// What one event of a stream says.
pub(super) fn event(provider: LlmProvider, data: &str) -> Result<Piece, String> {
    let json: Value = serde_json::from_str(data).map_err(|error| format!("an event that is no JSON ({error})"))?;
    if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str).or(error.as_str());
        return Err(format!("an error in the middle of its answer: {}", message.unwrap_or("it does not say which")));
    }
    match provider {
        LlmProvider::OpenAi => Ok(openai::event(&json)),
        LlmProvider::Anthropic => Ok(anthropic::event(&json)),
        LlmProvider::Ollama => ollama::answer(&json),
    }
}

fn text_at<'v>(value: &'v Value, keys: &[&str]) -> &'v str {
    keys.iter().find_map(|key| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())).unwrap_or("")
}

fn finish(word: Option<&str>) -> Option<Finish> {
    word.map(|word| match word {
        "length" | "max_tokens" | "model_length" | "MAX_TOKENS" => Finish::Length,
        _ => Finish::Stop,
    })
}

fn usage(value: &Value, input: &str, output: &str) -> Option<Usage> {
    let tokens = |key: &str| value.get(key).and_then(Value::as_u64);
    Some(Usage { input_tokens: tokens(input)?, output_tokens: tokens(output)? })
}

/// Sets a key if there is a value.
fn set<T: Into<Value>>(body: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value.into());
    }
}
