//! Wire types that several surfaces share.

use std::fmt::Display;

use jiff::Timestamp;
use mnemon_engine::{ChatContext, Message, read_time};
use mnemon_store::filter::{Instant, Number};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::Problem;

/// OpenAPI tags, one for each surface.
pub(super) mod tag {
    pub(in crate::api) const LEGACY: &str = "legacy";
    pub(in crate::api) const MEM0_SERVER: &str = "mem0 server";
    pub(in crate::api) const PLATFORM: &str = "hosted platform";
    pub(in crate::api) const OPENAI: &str = "OpenAI";
    pub(in crate::api) const OPERATIONS: &str = "operators";
}

/// The messages of a request, see [`Message::list_from_json`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages(pub(crate) Vec<Message>);

/// A message of a conversation.
#[derive(ToSchema)]
#[schema(as = Message)]
#[expect(dead_code, reason = "only describes the wire format")]
pub(crate) struct MessageDoc {
    /// `user`, `assistant`, `system`, `developer`, `tool` or another. Case does not count. Messages of the system and the
    /// developer are instructions and are not stored.
    #[schema(default = "user")]
    role: Option<String>,
    /// The role as LangChain writes it (`human`, `ai`), if there is no `role`; or the type of another item,
    /// such as `function_call`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The text; also a list of parts, of which those with `text` are read. What a tool answered becomes another
    /// message, with the role `tool`. A message with `tool_calls` needs no content.
    content: Option<String>,
    /// A list of parts in place of `content`.
    #[schema(value_type = Option<Vec<Object>>)]
    parts: Option<Vec<Value>>,
    /// The fields of the message, as LangChain nests them beside `type`.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// What a tool answered, in an item `function_call_output`.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// The name of the speaker.
    name: Option<String>,
    /// The time of the message, if it differs from that of the request: unix seconds, or RFC 3339.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
}

/// A text, a message, or a list of messages; also an object with one of these under `messages`.
#[derive(ToSchema)]
#[schema(as = Messages)]
#[serde(untagged)]
#[expect(dead_code, reason = "only describes the wire format")]
pub(crate) enum MessagesDoc {
    Text(String),
    One(Box<MessageDoc>),
    Many(Vec<MessageDoc>),
    Object { messages: Vec<MessageDoc> },
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Message::list_from_json(&value, &Message::default()).map(Self).map_err(D::Error::custom)
    }
}

/// Whether an add requests a procedural memory, the only `memory_type` there is.
pub(crate) fn is_procedural(memory_type: Option<&str>) -> Result<bool, Problem> {
    match memory_type {
        None => Ok(false),
        Some("procedural_memory") => Ok(true),
        Some(_) => Err(Problem::bad_request("memory_type must be procedural_memory")),
    }
}

/// The value that a request gives under one of several names, or under several.
///
/// # Errors
/// 400 if two of them differ.
pub(crate) fn one_value<T: PartialEq + Display + Copy>(given: &[(&str, Option<T>)]) -> Result<Option<T>, Problem> {
    let mut found: Option<(&str, T)> = None;
    for (name, value) in given {
        let Some(value) = value else { continue };
        match found {
            Some((first, other)) if other != *value => {
                let message = format!("{first} is `{other}` and {name} is `{value}`; give only one of them");
                return Err(Problem::bad_request(message).param(name));
            }
            _ => found = Some((name, *value)),
        }
    }
    Ok(found.map(|(_, value)| value))
}

/// A message that nothing was learnt from, because the language model refuses it.
#[derive(Serialize, ToSchema)]
pub(super) struct NotLearnt {
    /// Its position among the messages of the request, from 0. Messages without text do not count; what a tool answered
    /// inside a message counts as another one.
    message: usize,
    /// Its role.
    role: String,
    reason: String,
}

impl From<mnemon_engine::NotLearnt> for NotLearnt {
    fn from(one: mnemon_engine::NotLearnt) -> Self {
        Self { message: one.message, role: one.role.to_string(), reason: one.reason }
    }
}

/// A memory that the language model was given.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct UsedMemory {
    id: String,
    memory: String,
    /// How well it fits the message, from 0 to 1.
    score: f32,
    /// The label by which the answer cites it.
    label: String,
    /// Whether the answer cites it; absent before the answer is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    cited: Option<bool>,
}

impl UsedMemory {
    /// The memories of a chat, and whether its answer cites them.
    pub(super) fn list(recalled: &ChatContext, answer: Option<&str>) -> Vec<Self> {
        let memory = |(index, hit): (usize, &mnemon_engine::SearchHit)| Self {
            id: hit.memory.id.to_string(),
            memory: hit.memory.payload.text().to_owned(),
            score: hit.score,
            label: format!("m{}", index + 1),
            cited: answer.map(|answer| recalled.cites(answer, index)),
        };
        recalled.memories.iter().enumerate().map(memory).collect()
    }
}

/// A confirmation without further data.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// The confirmation as a sentence.
    pub(crate) message: String,
}

impl Done {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A time as clients write it: unix seconds, or RFC 3339.
pub(crate) fn timestamp(value: &Value) -> Result<Timestamp, Problem> {
    let timestamp = match value {
        Value::Number(_) => Number::of(value).and_then(Instant::from_number).and_then(Instant::timestamp),
        Value::String(text) => read_time(text),
        _ => None,
    };
    timestamp.ok_or_else(|| {
        Problem::bad_request("timestamp: must be unix seconds, or RFC 3339 such as 2024-05-01T12:00:00Z")
    })
}

/// The same for an optional field, where null counts as absent.
pub(crate) fn optional_timestamp(value: Option<&Value>) -> Result<Option<Timestamp>, Problem> {
    value.filter(|value| !value.is_null()).map(timestamp).transpose()
}
