//! A message of a conversation, and how it is read from JSON.

use jiff::Timestamp;
use mnemon_store::Role;
use serde_json::{Map, Value};

use crate::time::read_time;

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The role of its author; instructions are not stored.
    pub role: Role,
    /// The text; at most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES). A byte order mark at its start is not part of it.
    pub content: String,
    /// Number of its parts that hold no text, such as an image or a tool call; a null or empty list as content counts as
    /// one. They are not stored.
    pub unread_parts: usize,
    /// The speaker's name, stored as `actor_id`.
    pub name: Option<String>,
    /// The message's own time, if it differs from the request's time.
    pub timestamp: Option<Timestamp>,
}

impl Message {
    /// Whether it says nothing in words: a tool call, an image, an empty answer. Such a message is skipped. An empty text of
    /// a user is a mistake instead, unless the message has other parts.
    pub(crate) fn is_wordless(&self) -> bool {
        self.content.trim().is_empty() && (self.unread_parts > 0 || self.role != Role::User)
    }

    /// Whether a verbatim add stores it.
    pub(crate) fn is_stored(&self) -> bool {
        !self.role.is_instruction() && !self.is_wordless()
    }

    /// Reads messages: a text, a message, a list of both, or an object with one of these under `messages`. A message is
    /// `{"role", "content", "name"?, "timestamp"?}`; absent values are taken from `defaults`. `content` is a text or a
    /// list of parts, of which those with a text are read. A message of a tool, or with tool calls, needs no `content`.
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
            Value::String(text) => return Ok(Self { content: without_bom(text).to_owned(), ..defaults.clone() }),
            Value::Object(map) => map,
            _ => return Err(format!("{place}: must be a text or an object with `content`")),
        };
        let within = |fault: String| format!("{place}.{fault}");
        let (content, unread_parts) = content(map).map_err(|fault| format!("{place}.content: {fault}"))?;
        Ok(Self {
            content,
            unread_parts,
            role: optional_text(map, "role").map_err(within)?.map_or_else(|| defaults.role.clone(), Role::of_message),
            name: optional_text(map, "name")
                .map_err(within)?
                .map(|name| without_bom(name).to_owned())
                .or_else(|| defaults.name.clone()),
            timestamp: optional_time(map).map_err(within)?.or(defaults.timestamp),
        })
    }
}

/// Keys of a message that have no words of its author. A message with one of them may come without `content`.
const WORDLESS_KEYS: [&str; 5] = ["tool_calls", "function_call", "tool_call_id", "audio", "images"];

/// The text of a message, and the number of its parts that hold no text.
fn content(message: &Map<String, Value>) -> Result<(String, usize), &'static str> {
    let is_filled = |value: &&Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    // The id of the call that a tool answers is not a part of the answer.
    let beside = WORDLESS_KEYS.iter().filter(|key| **key != "tool_call_id");
    let beside = beside.filter(|key| message.get(**key).filter(is_filled).is_some()).count();
    let (text, unread) = match message.get("content") {
        Some(Value::String(text)) => (without_bom(text).to_owned(), 0),
        Some(Value::Array(parts)) if !parts.is_empty() => join_parts(parts)?,
        Some(part @ Value::Object(_)) => join_parts(std::slice::from_ref(part))?,
        Some(Value::Null | Value::Array(_)) => (String::new(), 1),
        Some(_) => return Err("must be a text or a list of parts"),
        None if message.contains_key("refusal") || WORDLESS_KEYS.iter().any(|key| message.contains_key(*key)) => {
            (String::new(), 1)
        }
        None => return Err("is missing"),
    };
    match message.get("refusal") {
        // What the assistant says instead of an answer.
        Some(Value::String(refusal)) if text.trim().is_empty() => Ok((refusal.clone(), beside)),
        _ => Ok((text, unread.max(beside))),
    }
}

/// The texts of parts, each on a line, and the number of parts without text.
fn join_parts(parts: &[Value]) -> Result<(String, usize), &'static str> {
    let texts = parts.iter().filter_map(|part| part_text(part).transpose()).collect::<Result<Vec<&str>, _>>()?;
    Ok((texts.join("\n"), parts.len() - texts.len()))
}

/// The text of a part; `None` if it is of a type without text, such as an image or a tool call.
fn part_text(part: &Value) -> Result<Option<&str>, &'static str> {
    let part = match part {
        Value::String(text) => return Ok(Some(without_bom(text))),
        Value::Object(part) => part,
        _ => return Err("has parts that are neither texts nor objects"),
    };
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    // Thoughts, and what tools are asked and answer, are not what the author said, even if they have a text.
    if ["thinking", "redacted_thinking", "reasoning"].contains(&kind) || kind.starts_with("tool") {
        return Ok(None);
    }
    match part.get("text").or_else(|| part.get("refusal")) {
        Some(Value::String(text)) => Ok(Some(without_bom(text))),
        Some(Value::Object(text)) if text.get("value").is_some_and(Value::is_string) => Ok(text["value"].as_str()),
        Some(Value::Null) | None if part.get("type").is_some_and(Value::is_string) => Ok(None),
        Some(_) => Err("has a part whose `text` is not a text"),
        None => Err("has a part without `text` and `type`"),
    }
}

/// A text without the byte order mark that some programs write before it.
pub(crate) fn without_bom(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
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
            unread_parts: 0,
        };
        let forms = [
            (json!("a"), vec![message("a")]),
            (json!({"content": "a"}), vec![message("a")]),
            (spoken.clone(), vec![b.clone()]),
            (json!([]), vec![]),
            (json!(["a", spoken, {"content": "c", "role": null}]), vec![message("a"), b, message("c")]),
            (json!([{"content": [{"text": "a"}, {"type": "text", "text": "b"}]}]), vec![message("a\nb")]),
            (json!({"content": "\u{feff}a"}), vec![message("a")]),
            (json!("\u{feff}a"), vec![message("a")]),
        ];
        for (form, expected) in forms {
            assert_eq!(Message::list_from_json(&form, &defaults()).as_ref(), Ok(&expected), "{form}");
            let wrapped = json!({"messages": form, "timestamp": "ignored"});
            assert_eq!(Message::list_from_json(&wrapped, &defaults()).as_ref(), Ok(&expected), "{wrapped}");
        }
    }

    #[test]
    fn messages_without_words_are_read_and_say_so() {
        let call = json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
        let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}});
        // The message, its text, and the number of parts that are not read.
        for (value, text, unread) in [
            (json!({"role": "assistant", "tool_calls": call}), "", 1),
            (json!({"role": "assistant", "content": null, "tool_calls": call}), "", 1),
            (json!({"role": "assistant", "content": "", "tool_calls": call}), "", 1),
            (json!({"role": "assistant", "content": [], "tool_calls": call}), "", 1),
            (json!({"role": "assistant", "content": "Let me look.", "tool_calls": call}), "Let me look.", 1),
            (json!({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}), "", 1),
            (json!({"role": "assistant", "content": "a", "tool_calls": null, "function_call": null}), "a", 0),
            (json!({"role": "assistant", "content": "a", "tool_calls": []}), "a", 0),
            (json!({"role": "assistant", "content": null}), "", 1),
            (json!({"role": "assistant", "content": null, "audio": {"id": "a1"}}), "", 1),
            (json!({"role": "assistant", "content": null, "refusal": "I can't."}), "I can't.", 0),
            (json!({"role": "assistant", "refusal": "I can't."}), "I can't.", 0),
            (json!({"role": "tool", "tool_call_id": "c1", "content": "21 °C"}), "21 °C", 0),
            (json!({"role": "tool", "tool_call_id": "c1"}), "", 1),
            (json!({"content": [image, {"type": "text", "text": "my cat"}]}), "my cat", 1),
            (json!({"content": [image]}), "", 1),
            (json!({"content": image}), "", 1),
            (json!({"content": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]}), "a", 1),
            (json!({"content": ["a", {"type": "output_text", "text": "b", "annotations": []}]}), "a\nb", 0),
            (json!({"content": [{"type": "text", "text": {"value": "a", "annotations": []}}]}), "a", 0),
            (json!({"content": [{"type": "refusal", "refusal": "I can't."}]}), "I can't.", 0),
            (json!({"content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]}), "", 1),
            (json!({"content": [{"type": "tool_result", "tool_use_id": "c1", "content": "21"}]}), "", 1),
            (json!({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]}), "a", 1),
            (json!({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]}), "a", 1),
            (
                json!({"content": [{"type": "tool-call", "toolName": "f"}, {"type": "tool-result", "text": "21"}]}),
                "",
                2,
            ),
            (json!({"content": [{"type": "input_audio", "input_audio": {"data": ""}}, {"type": "file"}]}), "", 2),
            (json!({"content": "a", "images": ["aGk="]}), "a", 1),
            (json!({"content": null}), "", 1),
            (json!({"content": []}), "", 1),
        ] {
            let read = Message::list_from_json(&json!([value]), &Message::default()).unwrap().remove(0);
            assert_eq!((read.content.as_str(), read.unread_parts), (text, unread), "{value}");
            assert_eq!(read.is_wordless(), text.is_empty(), "{value}");
        }
        let empty = |role: Role| Message { role, ..Message::default() };
        assert!(!empty(Role::User).is_wordless() && empty(Role::Assistant).is_wordless());
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
