//! Models: embedders, clients of language models, and rerankers.
#![warn(missing_docs)]

mod embedder;
mod error;

mod static_embedder;
pub mod wordpiece;

mod llm;
#[cfg(feature = "minilm")]
mod minilm;
mod openai;
mod pieces;
mod rerank;
mod service;
mod text;

pub use embedder::{Embedder, Embedding};
pub use error::{ModelError, ModelKind, RefusalCause};
pub use llm::{
    ChatAnswer, ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, JsonShape, LlmClient, LlmConfig, LlmProvider,
    Usage, json,
};
#[cfg(feature = "minilm")]
pub use minilm::MiniLmEmbedder;
pub use openai::{OpenAiConfig, OpenAiEmbedder};
pub use rerank::{HttpReranker, RerankConfig, Reranker};
pub use service::is_base_url;
pub use static_embedder::StaticEmbedder;
