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
    /// Reads messages: a text, a message, a list of both, or an object with one of these under `messages`. A message is
    /// `{"role", "content", "name"?, "timestamp"?}`; absent values are taken from `defaults`. `content` is a text or a
    /// list of parts with `text`; null is an empty text.
    ///
    /// # Errors
    /// The place of the fault and a description, such as ``messages[3].content: is missing``, which may be shown to the
    /// caller.
    pub fn list_from_json(value: &Value, defaults: &Self) -> Result<Vec<Self>, String> {
        let messages = value.get("messages").unwrap_or(value);
        match messages {
            Value::Array(items) => {
                let read = |(index, item)| Self::from_json(item, defaults, &format!("messages[{index}]"));
                items.iter().enumerate().map(read).collect()
            }
            one => Ok(vec![Self::from_json(one, defaults, "messages")?]),
        }
    }

    fn from_json(value: &Value, defaults: &Self, place: &str) -> Result<Self, String> {
        let map = match value {
            Value::String(text) => return Ok(Self { content: text.clone(), ..defaults.clone() }),
            Value::Object(map) => map,
            _ => return Err(format!("{place}: must be a text or an object with `content`")),
        };
        let within = |fault: String| format!("{place}.{fault}");
        Ok(Self {
            content: content(map.get("content")).map_err(|fault| format!("{place}.content: {fault}"))?,
            role: optional_text(map, "role").map_err(within)?.map_or_else(|| defaults.role.clone(), Role::from),
            name: optional_text(map, "name").map_err(within)?.map(str::to_owned).or_else(|| defaults.name.clone()),
            timestamp: optional_time(map).map_err(within)?.or(defaults.timestamp),
        })
    }
}

fn content(value: Option<&Value>) -> Result<String, &'static str> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        // An agent's tool call has no text.
        Some(Value::Null) => Ok(String::new()),
        Some(Value::Array(parts)) => {
            let texts: Option<Vec<&str>> = parts.iter().map(|part| part.get("text")?.as_str()).collect();
            Ok(texts.ok_or("has parts without `text`")?.join("\n"))
        }
        Some(_) => Err("must be a text or a list of parts"),
        None => Err("is missing"),
    }
}

/// The text under a key; `None` if the key is absent or null.
pub(crate) fn optional_text<'m>(map: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key}: must be a text, not {other}")),
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
            "timestamp: is {value}; it must be RFC 3339 such as 2024-05-01T12:00:00Z, a date, or seconds since 1970"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaults() -> Message {
        Message { name: Some("Ana".into()), ..Message::default() }
    }

    fn message(content: &str) -> Message {
        Message { content: content.into(), ..defaults() }
    }

    #[test]
    fn all_forms_of_a_list_are_read() {
        let spoken = json!({"role": "assistant", "content": "b", "name": "Bot", "timestamp": 0});
        let b = Message {
            role: Role::Assistant,
            content: "b".into(),
            name: Some("Bot".into()),
            timestamp: Some(Timestamp::UNIX_EPOCH),
        };
        let forms = [
            (json!("a"), vec![message("a")]),
            (json!({"content": "a"}), vec![message("a")]),
            (spoken.clone(), vec![b.clone()]),
            (json!([]), vec![]),
            (json!(["a", spoken, {"content": "c", "role": null}]), vec![message("a"), b, message("c")]),
            (json!([{"content": null}]), vec![message("")]),
            (json!([{"content": [{"text": "a"}, {"type": "text", "text": "b"}]}]), vec![message("a\nb")]),
            (json!([{"content": []}]), vec![message("")]),
        ];
        for (form, expected) in forms {
            assert_eq!(Message::list_from_json(&form, &defaults()).as_ref(), Ok(&expected), "{form}");
            let wrapped = json!({"messages": form, "timestamp": "ignored"});
            assert_eq!(Message::list_from_json(&wrapped, &defaults()).as_ref(), Ok(&expected), "{wrapped}");
        }
    }

    #[test]
    fn errors_name_the_place_of_the_fault() {
        let faults = [
            (json!(7), ""),
            (json!(null), ""),
            (json!({}), ".content"),
            (json!({"role": "tool"}), ".content"),
            (json!({"content": 1}), ".content"),
            (json!({"content": [{"image": "…"}]}), ".content"),
            (json!({"content": [{"text": 1}]}), ".content"),
            (json!({"content": "x", "role": 7}), ".role"),
            (json!({"content": "x", "name": ["n"]}), ".name"),
            (json!({"content": "x", "timestamp": "soon"}), ".timestamp"),
            (json!({"content": "x", "timestamp": {}}), ".timestamp"),
        ];
        for (fault, field) in faults {
            let lists = [
                (fault.clone(), format!("messages{field}: ")),
                (json!(["a", {"content": "b"}, fault]), format!("messages[2]{field}: ")),
            ];
            for (list, place) in lists {
                for form in [list.clone(), json!({"messages": list})] {
                    let error = Message::list_from_json(&form, &defaults()).unwrap_err();
                    assert!(error.starts_with(&place), "{form}: {error}");
                }
            }
        }
        // A list inside a list is not a message.
        assert!(Message::list_from_json(&json!([["a"]]), &defaults()).unwrap_err().starts_with("messages[0]: "));
        let nested = json!({"messages": {"messages": ["a"]}});
        assert!(Message::list_from_json(&nested, &defaults()).unwrap_err().starts_with("messages.content: "));
    }
}
