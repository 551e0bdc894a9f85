//! The content of a message in the forms of other programs: a text, parts, tool calls and their results.

use std::borrow::Cow;

use mnemon_store::{BOM, is_blank};
use serde_json::{Map, Value};

/// A text without byte order marks, wherever a program has left them.
pub(crate) fn without_bom(text: &str) -> Cow<'_, str> {
    if text.contains(BOM) { Cow::Owned(text.replace(BOM, "")) } else { Cow::Borrowed(text) }
}

/// What a message says.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The texts of its author.
    pub(super) said: Vec<String>,
    /// The texts that tools answered.
    pub(super) results: Vec<String>,
    /// Number of parts that hold no text.
    pub(super) unread: usize,
    /// Whether the first tool's answer comes before the first text.
    pub(super) results_first: bool,
    /// Whether it is an item and not a message, such as the call of a tool, which is the assistant's.
    pub(super) is_item: bool,
}

/// Keys of a message that have no words of its author. A message with one of them may come without `content`.
const WORDLESS_KEYS: [&str; 5] = ["tool_calls", "function_call", "tool_call_id", "audio", "images"];

/// Lists of parts that some programs write in place of `content`.
const PARTS_KEYS: [&str; 2] = ["parts", "blocks"];

/// The object that holds the fields of a message, and the name of its kind. LangChain writes messages as
/// `{"type", "data"}` and as `{"lc", "type", "id", "kwargs"}`.
pub(super) fn unwrapped(message: &Map<String, Value>) -> (&Map<String, Value>, Option<&str>) {
    let kind = message.get("type").and_then(Value::as_str);
    let inner = |key| match message.get(key) {
        Some(Value::Object(inner)) if !message.contains_key("content") && inner.contains_key("content") => Some(inner),
        _ => None,
    };
    match (inner("data"), inner("kwargs")) {
        (Some(data), _) if kind.is_some() => (data, kind),
        (_, Some(kwargs)) => (kwargs, message.get("id").and_then(|id| id.as_array()?.last()?.as_str())),
        _ => (message, kind),
    }
}

/// The role that the kind of a message names, as LangChain has it: `human`, `ai`, `AIMessageChunk`.
pub(super) fn role_of_kind(kind: &str) -> Option<&str> {
    let role = kind.strip_suffix("Chunk").unwrap_or(kind);
    let role = role.strip_suffix("Message").filter(|role| !role.is_empty()).unwrap_or(role);
    let known = ["user", "human", "assistant", "ai", "system", "developer", "tool", "function"];
    known.contains(&role.to_lowercase().as_str()).then_some(role)
}

impl Content {
    /// Reads the content of a message.
    pub(super) fn of(message: &Map<String, Value>, kind: Option<&str>) -> Result<Self, &'static str> {
        let is_filled = |value: &&Value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        // The id of the call that a tool answers is not a part of the answer.
        let beside = WORDLESS_KEYS.iter().filter(|key| **key != "tool_call_id");
        let beside = beside.filter(|key| message.get(**key).filter(is_filled).is_some()).count();
        let is_wordless = message.contains_key("refusal") || WORDLESS_KEYS.iter().any(|key| message.contains_key(*key));
        let parts = PARTS_KEYS.iter().find_map(|key| message.get(*key)?.as_array().filter(|parts| !parts.is_empty()));
        let mut content = match (message.get("content"), parts) {
            (Some(Value::String(text)), None) => Self::text(text),
            (Some(Value::String(text)), _) if !is_blank(text) => Self::text(text),
            (Some(Value::Array(parts)), _) if !parts.is_empty() => Self::of_parts(parts)?,
            (_, Some(parts)) => Self::of_parts(parts)?,
            (Some(Value::Object(part)), _) if part.is_empty() => Self::without_text(),
            (Some(part @ Value::Object(_)), _) => Self::of_parts(std::slice::from_ref(part))?,
            (Some(Value::Null | Value::Array(_)), _) => Self::without_text(),
            (Some(Value::Bool(false)), _) if beside > 0 => Self::without_text(),
            (Some(_), _) => return Err("must be a text or a list of parts"),
            (None, _) if is_wordless => Self::without_text(),
            (None, _) => Self::of_item(message, kind).ok_or("is missing")?,
        };
        if let Some(Value::String(refusal)) = message.get("refusal")
            && content.said.iter().all(|text| is_blank(text))
        {
            // What the assistant says instead of an answer.
            content.said = vec![refusal.clone()];
            content.unread = 0;
        }
        content.unread = content.unread.max(beside);
        Ok(content)
    }

    fn text(text: &str) -> Self {
        Self { said: vec![without_bom(text).into_owned()], ..Self::default() }
    }

    fn without_text() -> Self {
        Self { unread: 1, ..Self::default() }
    }

    /// An item of a conversation that is not a message, such as a call of a tool, its output or a thought: it has a type,
    /// and neither a role nor a text.
    fn of_item(item: &Map<String, Value>, kind: Option<&str>) -> Option<Self> {
        let kind = kind.filter(|kind| *kind != "message" && role_of_kind(kind).is_none())?;
        if ["role", "text"].iter().any(|key| item.contains_key(*key)) {
            return None;
        }
        let mut content = Self { is_item: true, ..Self::default() };
        content.add_result(item, kind);
        Some(content)
    }

    fn of_parts(parts: &[Value]) -> Result<Self, &'static str> {
        let mut content = Self::default();
        parts.iter().try_for_each(|part| content.add_part(part))?;
        Ok(content)
    }

    fn add_part(&mut self, part: &Value) -> Result<(), &'static str> {
        let part = match part {
            Value::String(text) => {
                self.said.push(without_bom(text).into_owned());
                return Ok(());
            }
            Value::Object(part) => part,
            _ => return Err("has parts that are neither texts nor objects"),
        };
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_thought = ["thinking", "redacted_thinking", "reasoning"].contains(&kind);
        // Thoughts are not what the author said, even if they have a text.
        if is_thought || part.get("thought") == Some(&Value::Bool(true)) {
            self.unread += 1;
            return Ok(());
        }
        if kind.starts_with("tool") || kind.starts_with("function") {
            self.add_result(part, kind);
            return Ok(());
        }
        let of_text_kind = || part.get("content").filter(|text| kind.ends_with("text") && text.is_string());
        match part.get("text").or_else(|| part.get("refusal")).or_else(of_text_kind) {
            Some(Value::String(text)) => self.said.push(without_bom(text).into_owned()),
            Some(Value::Object(text)) if text.get("value").is_some_and(Value::is_string) => {
                self.said.extend(text["value"].as_str().map(|text| without_bom(text).into_owned()));
            }
            Some(Value::Null) | None if !kind.is_empty() => self.unread += 1,
            Some(_) => return Err("has a part whose `text` is not a text"),
            None => self.add_named(part)?,
        }
        Ok(())
    }

    /// Adds a part whose only key says what it is, such as `{"toolResult": {…}}`.
    fn add_named(&mut self, part: &Map<String, Value>) -> Result<(), &'static str> {
        let Some((name, Value::Object(value))) = part.iter().find(|(_, value)| value.is_object()) else {
            return Err("has a part without `text` and `type`");
        };
        match name.as_str() {
            "toolResult" | "tool_result" | "functionResponse" | "function_response" => self.add_result(value, name),
            _ => self.unread += 1,
        }
        Ok(())
    }

    /// Adds what a tool answered, as far as it is text; a call has no such text.
    fn add_result(&mut self, item: &Map<String, Value>, kind: &str) {
        let mut texts = Vec::new();
        let is_answer = ["result", "output", "response"].iter().any(|word| kind.to_lowercase().contains(word));
        let keys = ["content", "output", "result", "response"];
        keys.iter().filter_map(|key| item.get(*key)).for_each(|value| collect_texts(value, &mut texts));
        if let Some(text) = item.get("text").filter(|_| is_answer) {
            collect_texts(text, &mut texts);
        }
        if texts.is_empty() {
            self.unread += 1;
            return;
        }
        self.results_first |= self.said.is_empty();
        self.results.append(&mut texts);
    }
}

/// The texts of a tool's answer: it is a text, a list of parts, or an object with one of these under a usual key.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if !is_blank(text) => texts.push(without_bom(text).into_owned()),
        Value::Array(parts) => parts.iter().for_each(|part| collect_texts(part, texts)),
        Value::Object(part) => {
            let keys = ["text", "value", "content", "output", "result"];
            if let Some(inner) = keys.iter().find_map(|key| part.get(*key)) {
                collect_texts(inner, texts);
            }
        }
        _ => {}
    }
}
