//! A message of a conversation, and how it is read from JSON.

use jiff::Timestamp;
use mnemon_store::Role;
use serde_json::{Map, Value};

use crate::time::read_time;

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The role of its author; system messages are not stored.
    pub role: Role,
    /// The text; at most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES).
    pub content: String,
    /// The speaker's name, stored as `actor_id`.
    pub name: Option<String>,
    /// The message's own time, if it differs from the request's time.
    pub timestamp: Option<Timestamp>,
}

impl Message {
    /// Reads `{"role", "content", "name"?, "timestamp"?}`; absent values are taken from `defaults`. `content` is a text or
    /// a list of parts with `text`; null is an empty text.
    ///
    /// # Errors
    /// A description of the fault, which may be shown to the caller.
    pub fn from_json(value: &Value, defaults: &Self) -> Result<Self, String> {
        let Value::Object(map) = value else { return Err("a message must be an object with `content`".into()) };
        let content = match map.get("content") {
            Some(Value::String(text)) => text.clone(),
            // An agent's tool call has no text.
            Some(Value::Null) => String::new(),
            Some(Value::Array(parts)) => {
                let texts: Option<Vec<&str>> = parts.iter().map(|part| part.get("text")?.as_str()).collect();
                texts.ok_or("`content` has parts without `text`")?.join("\n")
            }
            _ => return Err("the message has no `content`".into()),
        };
        Ok(Self {
            role: optional_text(map, "role")?.map_or_else(|| defaults.role.clone(), Role::from),
            content,
            name: optional_text(map, "name")?.map(str::to_owned).or_else(|| defaults.name.clone()),
            timestamp: optional_time(map)?.or(defaults.timestamp),
        })
    }
}

/// The text under a key; `None` if the key is absent or null.
pub(crate) fn optional_text<'m>(map: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{key}` must be a text, not {other}")),
    }
}

/// The time under `timestamp`; `None` if the key is absent or null.
pub(crate) fn optional_time(map: &Map<String, Value>) -> Result<Option<Timestamp>, String> {
    let value = match map.get("timestamp") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let time = match value {
        Value::String(text) => read_time(text),
        Value::Number(number) => read_time(&number.to_string()),
        _ => None,
    };
    match time {
        Some(time) => Ok(Some(time)),
        None => Err(format!(
            "`timestamp` is {value}; it must be RFC 3339 such as 2024-05-01T12:00:00Z, a date, or seconds since 1970"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn from_json_fills_in_defaults_and_rejects_wrong_types() {
        let defaults = Message { name: Some("Ana".into()), ..Message::default() };
        let read = |value: Value| Message::from_json(&value, &defaults);
        assert_eq!(read(json!({"content": "hi"})).unwrap(), Message { content: "hi".into(), ..defaults.clone() });
        let parts = read(json!({"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]})).unwrap();
        assert_eq!((parts.role, parts.content.as_str()), (Role::Assistant, "a\nb"));
        let invalid = [
            json!("hi"),
            json!({}),
            json!({"content": 1}),
            json!({"role": "tool"}),
            json!({"content": "x", "timestamp": "soon"}),
            json!({"content": "x", "role": 7}),
            json!({"content": [{"image": "…"}]}),
        ];
        for value in invalid {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }
}
