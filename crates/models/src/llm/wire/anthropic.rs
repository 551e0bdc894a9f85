//! Anthropic's `POST /messages`.

use serde_json::{Map, Value, json};

use super::part::{AnswerPart, arguments, finish, refused, set, text_at, usage};
use crate::llm::chat::{ChatRequest, ChatRole};
use crate::llm::config::LlmConfig;

/// The API requires a limit. Every model supports this one, and callers ask for the rest of a truncated answer.
const MAX_TOKENS: u32 = 4096;

pub(super) fn body(config: &LlmConfig, request: &ChatRequest, stream: bool) -> Map<String, Value> {
    let (mut system, mut messages): (Vec<&str>, Vec<Value>) = (Vec::new(), Vec::new());
    for message in &request.messages {
        match message.role {
            ChatRole::System => system.push(&message.content),
            role => messages.push(json!({"role": role.as_str(), "content": message.content})),
        }
    }
    let mut body = Map::new();
    body.insert("model".into(), config.model.as_str().into());
    body.insert("max_tokens".into(), request.max_tokens.or(config.max_tokens).unwrap_or(MAX_TOKENS).into());
    set(&mut body, "system", (!system.is_empty()).then(|| system.join("\n\n")));
    body.insert("messages".into(), messages.into());
    if stream {
        body.insert("stream".into(), true.into());
    }
    set(&mut body, "temperature", config.temperature);
    set(&mut body, "top_p", config.top_p);
    body
}

pub(super) fn answer(json: &Value) -> Result<AnswerPart, String> {
    let Some(blocks) = json["content"].as_array() else { return Err("no `content`".into()) };
    Ok(AnswerPart {
        text: blocks.iter().map(|block| text_at(block, &["text"])).collect(),
        reasoning: blocks.iter().map(|block| text_at(block, &["thinking"])).collect(),
        arguments: blocks.iter().map(|block| arguments(&block["input"])).collect(),
        finish: finish(json["stop_reason"].as_str()),
        refused: refused(json["stop_reason"].as_str()),
        usage: usage(&json["usage"], "input_tokens", "output_tokens"),
    })
}

pub(super) fn event(json: &Value) -> AnswerPart {
    let delta = &json["delta"];
    AnswerPart {
        text: text_at(delta, &["text"]).to_owned(),
        reasoning: text_at(delta, &["thinking"]).to_owned(),
        arguments: String::new(),
        finish: finish(delta["stop_reason"].as_str()),
        refused: refused(delta["stop_reason"].as_str()),
        usage: None,
    }
}
