//! Language models behind an HTTP endpoint: a conversation in, a text out.

mod clean;
mod client;
mod config;
pub mod json;
mod quirks;
mod wire;

use std::ops::ControlFlow;

use serde_json::Value;

use crate::error::ModelError;
pub use client::LlmClient;
pub use config::{LlmConfig, LlmProvider};

/// Answers conversations. Blocking, and shared between threads.
pub trait ChatModel: Send + Sync {
    /// The model's name, for people.
    fn name(&self) -> &str;

    /// The answer to a conversation, without what the model thought before it and without the fence around it.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] if nobody answers in time, [`ModelError::Refused`] if the endpoint says no,
    /// [`ModelError::Answer`] if what it answers is none.
    fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError>;

    /// The same, handing over the text piece by piece as it comes; [`ControlFlow::Break`] ends it early. The pieces
    /// make up the answer's text.
    ///
    /// # Errors
    /// As [`ChatModel::chat`]; what was handed over before stays said.
    fn chat_stream(
        &self,
        request: &ChatRequest,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError>;
}

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, in order.
    pub messages: Vec<ChatMessage>,
    /// The answer is to be JSON of this shape. The messages must say so as well: not every endpoint can be told.
    pub json: Option<JsonShape>,
    /// The most tokens of the answer; `None` leaves it to the configuration, and that to the endpoint.
    pub max_tokens: Option<u32>,
}

/// A message to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said.
    pub content: String,
}

impl ChatMessage {
    /// A message.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Who says a message to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatRole {
    /// Whoever sets the task.
    System,
    /// Whoever asks.
    User,
    /// The model itself.
    Assistant,
}

impl ChatRole {
    /// As all providers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A JSON Schema with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonShape {
    /// Letters and underscores.
    pub name: &'static str,
    /// The schema, of an object.
    pub schema: Value,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text; never blank.
    pub text: String,
    /// Why it ends.
    pub finish: Finish,
    /// What it took, where the endpoint says so.
    pub usage: Option<Usage>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// All is said.
    Stop,
    /// No more tokens were allowed: the answer is cut.
    Length,
}

/// Tokens of a request, as the endpoint counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the question.
    pub input_tokens: u64,
    /// Of the answer.
    pub output_tokens: u64,
}
