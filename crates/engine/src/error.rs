//! What can go wrong in the engine.

use mnemon_models::ModelError;
use mnemon_store::{FilterError, StoreError};

/// Any failure of the engine. A write that returns one stored nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The request can't be served as it is; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedder or the language model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The language model answered, but not what it was asked.
    #[error("the language model gave no facts: {0}")]
    Extraction(String),
    /// What was asked needs a language model, and none is configured.
    #[error("{0} needs a language model: set llm (MNEMON_LLM), such as openai:gpt-4o-mini or ollama:qwen3")]
    NoLanguageModel(&'static str),
    /// An embedder gives a text another vector than it gave before.
    #[error(
        "the embedder gives `{text}` another vector than before (cosine {cosine:.4}): nothing was switched. Another model may be behind its name now: mend that, or embed everything again with --restart"
    )]
    Unsteady {
        /// The beginning of the text.
        text: String,
        /// Of the two vectors.
        cosine: f32,
    },
    /// A file to import or export could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was being read or written.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl From<FilterError> for EngineError {
    fn from(error: FilterError) -> Self {
        Self::Store(error.into())
    }
}

impl EngineError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// Whether the caller can mend it by changing the request.
    pub fn is_callers_error(&self) -> bool {
        match self {
            Self::Invalid(_) => true,
            Self::Store(error) => matches!(
                error,
                StoreError::NotFound(_)
                    | StoreError::InvalidId(_)
                    | StoreError::InvalidScope(_)
                    | StoreError::InvalidCursor
                    | StoreError::Filter(_)
                    | StoreError::Exists(_)
                    | StoreError::Unsupported(_)
            ),
            Self::Model(_)
            | Self::Extraction(_)
            | Self::NoLanguageModel(_)
            | Self::Unsteady { .. }
            | Self::Io { .. } => false,
        }
    }

    /// Whether a model is to blame, so that the same request may succeed once it is mended or back.
    pub fn is_model_error(&self) -> bool {
        matches!(self, Self::Model(_) | Self::Extraction(_))
    }
}
