//! Ollama's `POST /api/chat`: the answer is one JSON object, or a stream of one on each line.

use serde_json::{Map, Value};

use super::messages::messages;
use super::part::{AnswerPart, arguments, finish, set, text_at, usage};
use crate::llm::chat::ChatRequest;
use crate::llm::config::LlmConfig;
use crate::llm::quirks::{JsonMode, Quirks};

pub(super) fn body(config: &LlmConfig, request: &ChatRequest, quirks: &Quirks, stream: bool) -> Map<String, Value> {
    let mut options = Map::new();
    set(&mut options, "temperature", config.temperature);
    set(&mut options, "top_p", config.top_p);
    set(&mut options, "num_predict", request.max_tokens.or(config.max_tokens));
    let mut body = Map::new();
    body.insert("model".into(), config.model.as_str().into());
    body.insert("messages".into(), messages(request, quirks));
    // Ollama streams by default.
    body.insert("stream".into(), stream.into());
    set(&mut body, "options", (!options.is_empty()).then_some(options));
    if let Some(shape) = &request.json {
        let format = match quirks.json {
            JsonMode::Schema | JsonMode::ObjectOfSchema => Some(shape.schema.clone()),
            JsonMode::Object => Some("json".into()),
            JsonMode::PromptOnly => None,
        };
        set(&mut body, "format", format);
    }
    body
}

pub(super) fn answer(json: &Value) -> Result<AnswerPart, String> {
    let message = json.get("message").ok_or("no `message`")?;
    Ok(AnswerPart {
        text: text_at(message, &["content"]).to_owned(),
        reasoning: text_at(message, &["thinking"]).to_owned(),
        arguments: message["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|call| arguments(&call["function"]["arguments"]))
            .collect(),
        finish: if json["done"] == true { finish(Some(json["done_reason"].as_str().unwrap_or("stop"))) } else { None },
        refused: None,
        usage: usage(json, "prompt_eval_count", "eval_count"),
    })
}
