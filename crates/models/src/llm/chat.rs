//! A conversation with a language model: the interface of all language models, and its types.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::error::ModelError;

/// Answers conversations. Calls block; shared between threads.
pub trait ChatModel: Send + Sync {
    /// The model's name in messages.
    fn name(&self) -> &str;

    /// Answers a conversation. The answer does not contain the model's reasoning, nor a code fence around the whole text.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] if the endpoint does not answer in time, [`ModelError::Refused`] if it rejects the
    /// request, [`ModelError::Answer`] if its answer is not usable.
    fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError>;

    /// The same, and passes the text to `on_delta` in parts as it is generated; [`ControlFlow::Break`] ends the answer
    /// early. The parts together are the answer's text.
    ///
    /// # Errors
    /// As [`ChatModel::chat`], also after some parts were passed on.
    fn chat_stream(
        &self,
        request: &ChatRequest,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError>;
}

/// A request to a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, in order.
    pub messages: Vec<ChatMessage>,
    /// The answer must be JSON of this shape. The messages must ask for it too: not every endpoint supports the parameter.
    pub json: Option<JsonShape>,
    /// Maximum number of tokens of the answer; `None` uses the configured number, else the endpoint's default.
    pub max_tokens: Option<u32>,
}

/// A message of a conversation with a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Its author.
    pub role: ChatRole,
    /// Its text.
    pub content: String,
}

impl ChatMessage {
    /// Creates a message.
    pub fn new(role: ChatRole, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatRole {
    /// The application, which gives instructions.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

impl ChatRole {
    /// Its name, the same for all providers.
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
    /// Its name, of letters and underscores.
    pub name: &'static str,
    /// The schema of an object.
    pub schema: Value,
}

/// An answer of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text; never blank.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// The number of tokens, if the endpoint reports it.
    pub usage: Option<Usage>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is complete.
    Stop,
    /// It is truncated at the maximum number of tokens.
    Length,
}

/// The numbers of tokens of a request and its answer, as the endpoint counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
}
