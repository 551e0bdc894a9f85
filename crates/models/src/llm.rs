//! Language models behind an HTTP endpoint: they answer a conversation with a text.

mod adapt;
mod chat;
mod client;
mod config;
mod headers;
pub mod json;
mod probe;
mod quirks;
mod reasoning;
mod stream;
mod truncation;
mod wire;

pub use chat::{ChatAnswer, ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, JsonShape, Usage};
pub use client::LlmClient;
pub use config::{LlmConfig, LlmProvider};
