//! OpenAI's `POST /chat/completions`, and the variants of compatible services.

use serde_json::{Map, Value, json};

use super::messages::messages;
use super::part::{AnswerPart, arguments, content, finish, refused, set, text_at, usage};
use crate::llm::chat::ChatRequest;
use crate::llm::config::LlmConfig;
use crate::llm::quirks::{JsonMode, Quirks, TokensKey};
use crate::service::message_of;

pub(super) fn body(config: &LlmConfig, request: &ChatRequest, quirks: &Quirks, stream: bool) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".into(), config.model.as_str().into());
    body.insert("messages".into(), messages(request, quirks));
    if stream {
        body.insert("stream".into(), true.into());
    }
    set(&mut body, "temperature", config.temperature);
    set(&mut body, "top_p", config.top_p);
    let max_tokens = request.max_tokens.or(config.max_tokens);
    match quirks.tokens {
        TokensKey::MaxTokens => set(&mut body, "max_tokens", max_tokens),
        TokensKey::MaxCompletionTokens => set(&mut body, "max_completion_tokens", max_tokens),
        TokensKey::Unsupported => {}
    }
    if let Some(shape) = &request.json {
        let format = match quirks.json {
            JsonMode::Schema => {
                let schema = json!({"name": shape.name, "schema": shape.schema, "strict": true});
                Some(json!({"type": "json_schema", "json_schema": schema}))
            }
            JsonMode::ObjectOfSchema => Some(json!({"type": "json_object", "schema": shape.schema})),
            JsonMode::Object => Some(json!({"type": "json_object"})),
            JsonMode::PromptOnly => None,
        };
        set(&mut body, "response_format", format);
    }
    body
}

pub(super) fn answer(json: &Value) -> Result<AnswerPart, String> {
    let Some(choice) = json["choices"].get(0) else {
        let feedback = json.get("promptFeedback").or(json.get("prompt_feedback"));
        return match feedback.and_then(|feedback| feedback.get("blockReason").or(feedback.get("block_reason"))) {
            Some(reason) => {
                Ok(AnswerPart { refused: Some(format!("the prompt is blocked: {reason}")), ..AnswerPart::default() })
            }
            None => Err("no `choices`".into()),
        };
    };
    let error = choice.get("error").filter(|error| !error.is_null()).map(message_of);
    if let Some(error) = error.filter(|error| !error.is_empty()) {
        return Err(format!("an error with a successful status: {error}"));
    }
    let message = &choice["message"];
    Ok(AnswerPart { usage: usage(&json["usage"], "prompt_tokens", "completion_tokens"), ..part(choice, message) })
}

pub(super) fn event(json: &Value) -> AnswerPart {
    let usage = usage(&json["usage"], "prompt_tokens", "completion_tokens");
    match json["choices"].get(0) {
        Some(choice) => AnswerPart { usage, ..part(choice, &choice["delta"]) },
        None => AnswerPart { usage, ..AnswerPart::default() },
    }
}

fn part(choice: &Value, message: &Value) -> AnswerPart {
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["function"]);
    let calls = calls.chain(message.get("function_call"));
    AnswerPart {
        // Services of the older API put the text beside the place of the message.
        text: content(message.get("content").unwrap_or(&choice["text"])),
        reasoning: text_at(message, &["reasoning_content", "reasoning"]).to_owned(),
        // Some services put the object there.
        arguments: match calls.map(|call| arguments(&call["arguments"])).collect::<String>() {
            none if none.is_empty() => arguments(&message["parsed"]),
            arguments => arguments,
        },
        finish: finish(choice["finish_reason"].as_str()),
        refused: match text_at(message, &["refusal"]) {
            "" => refused(choice["finish_reason"].as_str()),
            refusal => Some(format!("the model refuses: {refusal}")),
        },
        usage: None,
    }
}
