//! Which code the errors of stores and models have. Both crates are below this one and do not know the table.

use mnemon_models::{ModelError, ModelKind, RefusalCause};
use mnemon_store::StoreError;

use super::code::ErrorCode;

impl From<&StoreError> for ErrorCode {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Io { .. } => Self::Io,
            StoreError::NotAStore { .. } => Self::NotAStore,
            StoreError::NotALedger { .. } => Self::NotALedger,
            StoreError::Damaged { .. } => Self::Damaged,
            StoreError::NewerSchema { .. } => Self::NewerSchema,
            StoreError::EmbedderMismatch { .. } => Self::EmbedderMismatch,
            // The vectors that were made so far would be lost.
            StoreError::Reembedding { .. } => Self::Refused,
            StoreError::ReembedRefused(_) => Self::Reembedding,
            StoreError::Full => Self::Full,
            StoreError::ReadOnly { .. } => Self::ReadOnly,
            // A writer of the same scope is an obstacle like a writer that holds the lock.
            StoreError::Busy | StoreError::Conflict => Self::Busy,
            StoreError::Exists(_) => Self::Exists,
            // An invalid id is treated as an unknown one.
            StoreError::NotFound(_) | StoreError::InvalidId(_) => Self::NotFound,
            StoreError::InvalidScope(_) => Self::InvalidScope,
            StoreError::Filter(_) => Self::InvalidFilter,
            StoreError::InvalidCursor => Self::InvalidCursor,
            StoreError::Dims { .. } => Self::Dims,
            StoreError::TooDeep { .. } | StoreError::Unsupported(_) => Self::InvalidRequest,
            StoreError::UnreadableDocument { .. } => Self::UnreadableDocument,
            StoreError::Corrupt(_) => Self::Corrupt,
            StoreError::Database(_) => Self::Database,
            StoreError::Unavailable { .. } => Self::DatastoreUnavailable,
            StoreError::OutcomeUnknown { .. } => Self::OutcomeUnknown,
            StoreError::UnusableCollection { .. } | StoreError::Misconfigured(_) => Self::DatastoreMisconfigured,
        }
    }
}

impl From<&ModelError> for ErrorCode {
    fn from(error: &ModelError) -> Self {
        let is_unavailable = match error {
            ModelError::Unavailable { .. } => true,
            ModelError::Weights(_)
            | ModelError::Tensor { .. }
            | ModelError::Vocabulary(_)
            | ModelError::Folder { .. }
            | ModelError::Compute(_)
            | ModelError::Settings { .. }
            | ModelError::Client { .. }
            | ModelError::Refused { .. }
            | ModelError::Answer { .. }
            | ModelError::Dims { .. } => false,
        };
        match error {
            ModelError::Refused { kind: ModelKind::LanguageModel, cause: RefusalCause::TooLong, .. } => {
                return Self::LlmInputTooLong;
            }
            ModelError::Refused { kind: ModelKind::LanguageModel, cause: RefusalCause::Filtered, .. } => {
                return Self::LlmContentRefused;
            }
            _ => {}
        }
        match (error.kind(), is_unavailable) {
            (ModelKind::LanguageModel, true) => Self::LlmUnavailable,
            (ModelKind::LanguageModel, false) => Self::LlmFailed,
            (ModelKind::Embedder | ModelKind::Reranker, true) => Self::EmbedderUnavailable,
            (ModelKind::Embedder | ModelKind::Reranker, false) => Self::EmbedderFailed,
        }
    }
}
