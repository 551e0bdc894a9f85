//! An answer or a part of one, and helpers to read and write the JSON of providers.

use serde_json::{Map, Value};

use crate::llm::chat::{Finish, Usage};

/// An answer, or a part of a streamed answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerPart {
    /// The text.
    pub(crate) text: String,
    /// The model's reasoning, if the provider separates it from the text.
    pub(crate) reasoning: String,
    /// The arguments of calls of tools, which some models write in place of a text.
    pub(crate) arguments: String,
    /// Why the answer ended, in the last part.
    pub(crate) finish: Option<Finish>,
    /// What a filter or the model says if it refuses the content.
    pub(crate) refused: Option<String>,
    pub(crate) usage: Option<Usage>,
}

impl AnswerPart {
    /// Adds the next part of a streamed answer.
    pub(crate) fn join(&mut self, part: Self) {
        self.text.push_str(&part.text);
        self.reasoning.push_str(&part.reasoning);
        self.arguments.push_str(&part.arguments);
        self.finish = part.finish.or(self.finish);
        self.refused = part.refused.or(self.refused.take());
        self.usage = part.usage.or(self.usage);
    }
}

/// The first text under one of the keys that is not empty.
pub(super) fn text_at<'v>(value: &'v Value, keys: &[&str]) -> &'v str {
    keys.iter().find_map(|key| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())).unwrap_or("")
}

/// A content as text: a text, a list of texts and parts, or JSON that is not in a string.
pub(super) fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().map(|part| part.as_str().unwrap_or_else(|| text_at(part, &["text"]))).collect()
        }
        object @ Value::Object(_) => object.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

/// Arguments of a call of a tool: a text, or JSON that is not in a string.
pub(super) fn arguments(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        object @ Value::Object(_) => object.to_string(),
        _ => String::new(),
    }
}

/// Reads why an answer ended.
pub(super) fn finish(reason: Option<&str>) -> Option<Finish> {
    reason.map(|reason| match reason {
        "length" | "max_tokens" | "model_length" | "MAX_TOKENS" => Finish::Length,
        _ => Finish::Stop,
    })
}

/// The reason why an answer ended, if a filter or the model refuses the content.
pub(super) fn refused(reason: Option<&str>) -> Option<String> {
    const NAMES: [&str; 12] = [
        "content_filter",
        "content-filter",
        "safety",
        "prohibited",
        "blocklist",
        "spii",
        "recitation",
        "refusal",
        "guardrail",
        "sensitive",
        "flagged",
        "error_toxic",
    ];
    let reason = reason?;
    let name = reason.to_lowercase();
    NAMES.iter().any(|known| name.contains(known)).then(|| format!("it ends with `{reason}`"))
}

/// Reads the numbers of tokens under two keys.
pub(super) fn usage(value: &Value, input: &str, output: &str) -> Option<Usage> {
    let tokens = |key: &str| value.get(key).and_then(Value::as_u64);
    Some(Usage { input_tokens: tokens(input)?, output_tokens: tokens(output)? })
}

/// Sets a key if there is a value.
pub(super) fn set<T: Into<Value>>(body: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(key.to_owned(), value.into());
    }
}
