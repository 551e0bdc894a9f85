//! Wire types that several surfaces share.

use mnemon_engine::{Message, read_time};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Problem;

/// What to remember: a text, a message, or a list of messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages(pub(crate) Vec<Message>);

/// A message as it is written.
#[derive(ToSchema)]
#[schema(as = Message)]
#[expect(dead_code, reason = "only describes the wire")]
pub(crate) struct MessageDoc {
    /// `user`, `assistant` or `system`; system messages are not remembered.
    #[schema(default = "user")]
    role: Option<String>,
    /// What was said. Also a list of parts with `text`.
    content: String,
    /// The speaker's name.
    name: Option<String>,
}

/// A text, a message, or a list of messages.
#[derive(ToSchema)]
#[schema(as = Messages)]
#[serde(untagged)]
#[expect(dead_code, reason = "only describes the wire")]
pub(crate) enum MessagesDoc {
    Text(String),
    One(MessageDoc),
    Many(Vec<MessageDoc>),
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let defaults = Message { role: "user".into(), ..Message::default() };
        let read = |value: &Value| match value {
            Value::String(text) => Ok(Message { content: text.clone(), ..defaults.clone() }),
            other => Message::from_json(other, &defaults),
        };
        let messages = match Value::deserialize(deserializer)? {
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| read(item).map_err(|fault| format!("message {}: {fault}", at + 1)))
                .collect(),
            one => read(&one).map(|message| vec![message]),
        };
        messages.map(Self).map_err(D::Error::custom)
    }
}

/// Whether an add asks for a procedural memory: there is no other `memory_type`.
pub(crate) fn procedure(memory_type: Option<&str>) -> Result<bool, Problem> {
    match memory_type {
        None => Ok(false),
        Some("procedural_memory") => Ok(true),
        Some(_) => Err(Problem::bad_request("memory_type can only be procedural_memory")),
    }
}

/// An answer that only says that it was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// What was done.
    pub(crate) message: String,
}

impl Done {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A moment as clients write it: unix seconds, or RFC 3339.
pub(crate) fn moment(value: &Value) -> Result<jiff::Timestamp, Problem> {
    let read = match value {
        Value::Number(number) => number.as_f64().and_then(super::platform::filters::seconds),
        Value::String(text) => read_time(text),
        _ => None,
    };
    read.ok_or_else(|| Problem::bad_request("timestamp: give unix seconds, or RFC 3339 such as 2024-05-01T12:00:00Z"))
}
