//! A message of a conversation, and how it is read from JSON.

use jiff::Timestamp;
use mnemon_store::parse_time;
use serde_json::{Map, Value};

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// `user`, `assistant`, `system`, …; system messages are not remembered.
    pub role: String,
    /// What was said; at most [`crate::MAX_TEXT_BYTES`].
    pub content: String,
    /// The speaker's name, kept as `actor_id`.
    pub name: Option<String>,
    /// When it was said, where that differs from the request's time.
    pub timestamp: Option<Timestamp>,
}

impl Message {
    /// Reads `{"role", "content", "name"?, "timestamp"?}`; what is absent is taken from `defaults`. `content` is text, or
    /// a list of parts with `text`; null is an empty text.
    ///
    /// # Errors
    /// What is wrong with the value, in words for whoever wrote it.
    pub fn from_json(value: &Value, defaults: &Self) -> Result<Self, String> {
        let Value::Object(map) = value else { return Err("a message is an object with `content`".into()) };
        let content = match map.get("content") {
            Some(Value::String(text)) => text.clone(),
            // An agent's call of a tool says nothing.
            Some(Value::Null) => String::new(),
            Some(Value::Array(parts)) => {
                let texts: Option<Vec<&str>> = parts.iter().map(|part| part.get("text")?.as_str()).collect();
                texts.ok_or("`content` has parts that are no text")?.join("\n")
            }
            _ => return Err("the message has no `content`".into()),
        };
        Ok(Self {
            role: text_of(map, "role")?.map_or_else(|| defaults.role.clone(), str::to_owned),
            content,
            name: text_of(map, "name")?.map(str::to_owned).or_else(|| defaults.name.clone()),
            timestamp: time_of(map)?.or(defaults.timestamp),
        })
    }
}

/// Reads a time as callers write it: RFC 3339, a bare date, or seconds since 1970.
pub fn read_time(text: &str) -> Option<Timestamp> {
    let seconds = || {
        let seconds = text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
        Timestamp::from_microsecond((seconds * 1e6) as i64).ok()
    };
    parse_time(text).or_else(seconds)
}

/// The text under a key; `None` where it is absent or null.
pub(crate) fn text_of<'m>(map: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("`{key}` is {other}, not text")),
    }
}

/// The time under `timestamp`.
pub(crate) fn time_of(map: &Map<String, Value>) -> Result<Option<Timestamp>, String> {
    let found = match map.get("timestamp") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => read_time(text),
        Some(Value::Number(number)) => read_time(&number.to_string()),
        Some(_) => None,
    };
    let wrong = || {
        let value = map.get("timestamp").map(Value::to_string).unwrap_or_default();
        format!("`timestamp` is {value}; give RFC 3339 such as 2024-05-01T12:00:00Z, a date, or seconds since 1970")
    };
    found.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_keep_their_defaults() {
        let defaults = Message { role: "user".into(), name: Some("Ana".into()), ..Message::default() };
        let read = |value: Value| Message::from_json(&value, &defaults);
        assert_eq!(read(json!({"content": "hi"})).unwrap(), Message { content: "hi".into(), ..defaults.clone() });
        let parts = read(json!({"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]})).unwrap();
        assert_eq!((parts.role.as_str(), parts.content.as_str()), ("assistant", "a\nb"));
        let wrong = [
            json!("hi"),
            json!({}),
            json!({"content": 1}),
            json!({"role": "tool"}),
            json!({"content": "x", "timestamp": "soon"}),
            json!({"content": "x", "role": 7}),
            json!({"content": [{"image": "…"}]}),
        ];
        for bad in wrong {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_come_in_three_forms() {
        let noon: Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
        for text in ["2024-05-01T12:00:00Z", "2024-05-01 14:00:00+02:00", "1714564800"] {
            assert_eq!(read_time(text), Some(noon), "{text}");
        }
        assert!(read_time("2024-05-01").is_some());
        for bad in ["", "soon", "1e300", "NaN"] {
            assert_eq!(read_time(bad), None, "{bad}");
        }
    }
}
