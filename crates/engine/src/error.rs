//! The errors of the engine, and the table of error codes.

mod classify;
mod code;

use mnemon_models::ModelError;
use mnemon_store::{FilterError, StoreError};

pub use code::{ErrorCode, Exit};

/// The result of an engine operation.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error of the engine. A write that returns an error has stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The request is invalid; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The store failed or rejected the request.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedder, the language model or the reranker failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The language model's answer can't be used.
    #[error("the language model's answer can't be used: {0}")]
    Extraction(String),
    /// The request needs a language model, and none is configured.
    #[error("{0} needs a language model: set llm (MNEMON_LLM), for example to openai:gpt-4o-mini or ollama:qwen3")]
    NoLanguageModel(&'static str),
    /// The embedder returns another vector for a text than before.
    #[error(
        "the embedder returns another vector for `{text}` than before (cosine {cosine:.4}), so the store was not switched. The model behind the same name may have changed: restore it, or start over with --restart"
    )]
    Unsteady {
        /// The beginning of the text.
        text: String,
        /// The cosine of the two vectors.
        cosine: f32,
    },
    /// A file to import or export could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The file, or the operation on it.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl From<FilterError> for EngineError {
    fn from(error: FilterError) -> Self {
        Self::Store(error.into())
    }
}

impl EngineError {
    /// An invalid request, with the reason.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidRequest,
            Self::Store(error) => error.into(),
            Self::Model(error) => error.into(),
            Self::Extraction(_) => ErrorCode::LlmAnswer,
            Self::NoLanguageModel(_) => ErrorCode::LlmNotConfigured,
            Self::Unsteady { .. } => ErrorCode::EmbedderChanged,
            Self::Io { .. } => ErrorCode::Io,
        }
    }

    /// Whether the request is at fault, so that a changed request may succeed.
    pub fn is_callers_error(&self) -> bool {
        matches!(self.code().status(), Some(400..500))
    }

    /// Whether a model is at fault, so that the same request may succeed later.
    pub fn is_model_error(&self) -> bool {
        matches!(self, Self::Model(_) | Self::Extraction(_))
    }
}
