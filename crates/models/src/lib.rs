//! Embedders: what turns the text of a memory or a question into a vector.
#![warn(missing_docs)]

mod embedder;
mod error;
mod static_embedder;
pub mod wordpiece;

pub use embedder::Embedder;
pub use error::ModelError;
pub use static_embedder::StaticEmbedder;
