//! Embedders: what turns the text of a memory or a question into a vector.
#![warn(missing_docs)]

mod embedder;
mod error;
#[cfg(feature = "minilm")]
mod minilm;
mod openai;
mod static_embedder;
pub mod wordpiece;

pub use embedder::Embedder;
pub use error::ModelError;
#[cfg(feature = "minilm")]
pub use minilm::MiniLmEmbedder;
pub use openai::{OpenAiConfig, OpenAiEmbedder};
pub use static_embedder::StaticEmbedder;
