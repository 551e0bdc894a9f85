//! Embedders: what turns the text of a memory or a question into a vector.
#![warn(missing_docs)]

mod embedder;
mod error;
mod openai;
mod static_embedder;
pub mod wordpiece;

pub use embedder::Embedder;
pub use error::ModelError;
pub use openai::{OpenAiConfig, OpenAiEmbedder};
pub use static_embedder::StaticEmbedder;
