//! The errors of the engine, and the table of error codes.

mod classify;
mod code;
mod hint;

use mnemon_models::{ModelError, ModelKind, RefusalCause};
use mnemon_store::{FilterError, StoreError};

pub use code::{ErrorCode, Exit};

/// The result of an engine operation.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// An error of the engine. A write that returns an error has stored nothing, except with [`StoreError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A value in the request is not valid. The text names the value and its limit, and nothing that only some callers
    /// have, such as flags. An error that a caller has to recognize gets its variant.
    #[error("{0}")]
    Invalid(String),
    /// The store failed or rejected the request.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedder, the language model or the reranker failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The language model's answer can't be used.
    #[error("the language model's answer can't be used: {reason}")]
    Extraction {
        /// Why it can't be used.
        reason: String,
        /// Whether its answers are cut off before they contain anything new.
        is_truncated: bool,
    },
    /// The request needs a language model, and none is configured.
    #[error("{0} needs a language model")]
    NoLanguageModel(&'static str),
    /// The embedder returns another vector for a text than before, so the store was not switched to it. The model behind the
    /// same name may have changed.
    #[error(
        "the embedder returns another vector for `{text}` than before (cosine {cosine:.4}), so the store was not switched; the \
         model behind the same name may have changed"
    )]
    EmbedderChanged {
        /// The beginning of the text.
        text: String,
        /// The cosine of the two vectors.
        cosine: f32,
    },
    /// The vectors of an export are of another embedder than those of the store.
    #[error(
        "the export has vectors of embedder `{export}` ({export_dims} dims), the store those of `{store}` ({store_dims} dims)"
    )]
    ExportOfOtherEmbedder {
        /// Fingerprint of the export's embedder.
        export: String,
        /// Dims of the export's vectors.
        export_dims: usize,
        /// Fingerprint of the store's embedder.
        store: String,
        /// Dims of the store's vectors.
        store_dims: usize,
    },
    /// A file to import does not name the owner of its memories, and the caller has given none.
    #[error("the file does not name the owner of the memories")]
    NoOwner,
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
            Self::Extraction { .. } => ErrorCode::LlmAnswer,
            Self::NoLanguageModel(_) => ErrorCode::LlmNotConfigured,
            Self::EmbedderChanged { .. } => ErrorCode::EmbedderChanged,
            Self::ExportOfOtherEmbedder { .. } | Self::NoOwner => ErrorCode::InvalidRequest,
            Self::Io { .. } => ErrorCode::Io,
        }
    }

    /// Which settings to change, as the end of a sentence. `name` maps the key of a setting to the name that this caller's
    /// users know. `None` if no setting helps, or if the command line or the client has to do something.
    pub fn settings_hint(&self, name: &dyn Fn(&str) -> String) -> Option<String> {
        match self {
            Self::Model(error) => hint::model_hint(error, name),
            Self::NoLanguageModel(_) => {
                Some(format!("set {}, for example to openai:gpt-4o-mini or ollama:qwen3", name("llm")))
            }
            Self::Extraction { is_truncated: true, .. } => {
                Some(format!("set {} higher, or send fewer messages at a time", name("llm_max_tokens")))
            }
            Self::Invalid(_)
            | Self::Store(_)
            | Self::Extraction { .. }
            | Self::EmbedderChanged { .. }
            | Self::ExportOfOtherEmbedder { .. }
            | Self::NoOwner
            | Self::Io { .. } => None,
        }
    }

    /// What an operator can change, for logs: settings are named by their key.
    pub fn log_hint(&self) -> Option<String> {
        self.settings_hint(&str::to_owned)
    }

    /// Why the language model's service refuses a request, if it does.
    pub(crate) fn llm_refusal(&self) -> Option<RefusalCause> {
        match self {
            Self::Model(ModelError::Refused { kind: ModelKind::LanguageModel, cause, .. }) => Some(*cause),
            _ => None,
        }
    }

    /// Whether the language model's service may refuse a request because it is too long: it says so, or it does not explain
    /// why it refuses only this one.
    pub(crate) fn may_be_too_long(&self) -> bool {
        matches!(self.llm_refusal(), Some(RefusalCause::TooLong | RefusalCause::ThisRequest))
    }

    /// Whether the request is at fault, so that a changed request may succeed.
    pub fn is_callers_error(&self) -> bool {
        matches!(self.code().status(), Some(400..500))
    }

    /// Whether a model is at fault, so that the same request may succeed later.
    pub fn is_model_error(&self) -> bool {
        matches!(self, Self::Model(_) | Self::Extraction { .. })
    }
}
