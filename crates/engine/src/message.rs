//! A message of a conversation, and how it is read from JSON.

mod content;

use jiff::Timestamp;
use mnemon_store::{BOM, Role, is_blank};
use serde_json::{Map, Value};

pub(crate) use self::content::without_bom;
use self::content::{Content, role_of_kind, unwrapped};
use crate::time::read_time;

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The role of its author; instructions are not stored.
    pub role: Role,
    /// The text; at most [`MAX_TEXT_BYTES`](crate::MAX_TEXT_BYTES). Byte order marks do not belong to it.
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
    /// Whether it has no text that can be seen.
    pub(crate) fn is_blank(&self) -> bool {
        is_blank(&self.content)
    }

    /// Whether it says nothing in words: a tool call, an image, an empty answer. Such a message is skipped. An empty text of
    /// a user is a mistake instead, unless the message has other parts.
    pub(crate) fn is_wordless(&self) -> bool {
        self.is_blank() && (self.unread_parts > 0 || self.role != Role::User)
    }

    /// Whether a verbatim add stores it.
    pub(crate) fn is_stored(&self) -> bool {
        !self.role.is_instruction() && !self.is_blank()
    }

    /// Reads messages: a text, a message, a list of both, or an object with one of these under `messages`. A message is
    /// `{"role", "content", "name"?, "timestamp"?}`; absent values are taken from `defaults`. `content` is a text or a
    /// list of parts, of which those with a text are read; a tool's answer among them becomes another message, whose
    /// role is `tool`. A message of a tool, or with tool calls, needs no `content`. `type` counts as the role where that is
    /// missing (`human`, `ai`), and an item of another type, such as `function_call`, is a message without text.
    ///
    /// # Errors
    /// The place of the fault and a description, such as ``messages[3].content: is missing``, which may be shown to the
    /// caller.
    pub fn list_from_json(value: &Value, defaults: &Self) -> Result<Vec<Self>, String> {
        let mut messages = Vec::new();
        match value.get("messages").unwrap_or(value) {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    Self::read(item, defaults, &format!("messages[{index}]"), &mut messages)?;
                }
            }
            one => Self::read(one, defaults, "messages", &mut messages)?,
        }
        Ok(messages)
    }

    fn read(value: &Value, defaults: &Self, place: &str, messages: &mut Vec<Self>) -> Result<(), String> {
        let map = match value {
            Value::String(text) => {
                messages.push(Self { content: without_bom(text).into_owned(), ..defaults.clone() });
                return Ok(());
            }
            Value::Object(map) => map,
            _ => return Err(format!("{place}: must be a text or an object with `content`")),
        };
        let within = |fault: String| format!("{place}.{fault}");
        let (map, kind) = unwrapped(map);
        let content = Content::of(map, kind).map_err(|fault| format!("{place}.content: {fault}"))?;
        let role = optional_text(map, "role").map_err(within)?.or_else(|| role_of_kind(kind?));
        let role = role.or(content.is_item.then_some("assistant"));
        let said = Self {
            content: content.said.join("\n"),
            unread_parts: content.unread,
            role: role.map_or_else(|| defaults.role.clone(), Role::of_message),
            name: optional_text(map, "name")
                .map_err(within)?
                .map(|name| without_bom(name).into_owned())
                .or_else(|| defaults.name.clone()),
            timestamp: optional_time(map).map_err(within)?.or(defaults.timestamp),
        };
        if content.results.is_empty() {
            messages.push(said);
            return Ok(());
        }
        let role = if said.role.is_tool() { said.role.clone() } else { Role::Other("tool".to_owned()) };
        let mut result =
            Self { content: content.results.join("\n"), role, name: None, unread_parts: 0, ..said.clone() };
        let place = messages.len();
        if said.is_blank() {
            result.unread_parts = said.unread_parts;
        } else {
            messages.push(said);
        }
        messages.insert(if content.results_first { place } else { messages.len() }, result);
        Ok(())
    }
}

/// A text without the byte order marks before it.
pub(crate) fn after_bom(text: &str) -> &str {
    text.trim_start_matches(BOM)
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
mod tests;
