//! Requests and answers in the format of each provider.

mod anthropic;
mod messages;
mod ollama;
mod openai;
mod part;

use serde_json::{Map, Value};

use super::chat::{ChatRequest, Finish};
use super::config::{LlmConfig, LlmProvider};
use super::json::parse_body;
use super::quirks::Quirks;
use crate::service::message_of;
pub(super) use part::AnswerPart;

/// The path that is appended to the base URL.
pub(super) fn path(provider: LlmProvider) -> &'static str {
    match provider {
        LlmProvider::OpenAi => "/chat/completions",
        LlmProvider::Anthropic => "/messages",
        LlmProvider::Ollama => "/api/chat",
    }
}

/// The body of a request: the required keys and the configured ones, without those that the endpoint does not support.
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

/// Reads a complete answer.
///
/// # Errors
/// A description of what the endpoint answered instead.
pub(super) fn answer(provider: LlmProvider, body: &[u8]) -> Result<AnswerPart, String> {
    if let Some(events) = events_in(body) {
        return joined(provider, &events);
    }
    let json = parse_body(body)?;
    match provider {
        LlmProvider::OpenAi => openai::answer(&json),
        LlmProvider::Anthropic => anthropic::answer(&json),
        LlmProvider::Ollama => ollama::answer(&json),
    }
}

/// The data of the events in a body, if it is a stream: some services stream although they are not asked to.
fn events_in(body: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(body);
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().map(str::trim).collect();
    let first = lines.iter().find(|line| !line.is_empty())?;
    if ["data:", "event:", "id:", "retry:", ":"].iter().any(|name| first.starts_with(name)) {
        let data = lines.iter().filter_map(|line| line.strip_prefix("data:"));
        return Some(data.map(|data| data.trim().to_owned()).filter(|data| !data.is_empty()).collect());
    }
    // An object on each line.
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let are_objects = lines.iter().all(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok());
    (lines.len() > 1 && are_objects).then_some(lines)
}

/// The answer whose parts are these events. Without an end it counts as truncated.
fn joined(provider: LlmProvider, events: &[String]) -> Result<AnswerPart, String> {
    let mut whole = AnswerPart::default();
    for data in events.iter().filter(|data| *data != "[DONE]") {
        whole.join(event(provider, data)?);
    }
    if whole.finish.is_none() && !events.iter().any(|data| data == "[DONE]") {
        whole.finish = Some(Finish::Length);
    }
    Ok(whole)
}

/// Reads one event of a stream.
///
/// # Errors
/// A description of what the endpoint answered instead.
pub(super) fn event(provider: LlmProvider, data: &str) -> Result<AnswerPart, String> {
    let json = parse_body(data.as_bytes()).map_err(|fault| format!("an event with {fault}"))?;
    if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
        let message = message_of(error);
        let message = if message.is_empty() { "without a message" } else { &message };
        return Err(format!("an error in the middle of its answer: {message}"));
    }
    match provider {
        LlmProvider::OpenAi => Ok(openai::event(&json)),
        LlmProvider::Anthropic => Ok(anthropic::event(&json)),
        LlmProvider::Ollama => ollama::answer(&json),
    }
}
