//! The errors of models.

use std::path::PathBuf;
use std::time::Duration;

use safetensors::SafeTensorError;

/// The kind of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Turns texts into vectors.
    Embedder,
    /// Answers conversations.
    LanguageModel,
    /// Scores how well memories answer a question.
    Reranker,
}

impl ModelKind {
    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedder => "embedder",
            Self::LanguageModel => "language model",
            Self::Reranker => "reranker",
        }
    }
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a service rejects a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// It requires a key, and none was sent.
    NoKey,
    /// The key is not valid.
    InvalidKey,
    /// The key may not use the model.
    KeyNotAllowed,
    /// It does not have the model, or the path of the base URL is wrong.
    UnknownModel,
    /// It has moved to another address.
    Moved,
    /// The quota of the account is used up.
    Quota,
    /// The input is too long.
    TooLong,
    /// A filter refuses the content of the input or of the answer.
    Filtered,
    /// Something in this request, in words that are not known or without words: the service answers other requests.
    ThisRequest,
    /// Another reason.
    Other,
}

/// Why a model could not be loaded or called.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The weights are not a safetensors file, or lack a tensor.
    #[error("the model's weights can't be read")]
    Weights(#[from] SafeTensorError),
    /// A tensor has another type or shape than the model needs.
    #[error("the model's tensor `{tensor}` must be {expected}")]
    Tensor {
        /// The tensor's name.
        tensor: &'static str,
        /// The type and shape that it must have.
        expected: String,
    },
    /// The vocabulary is not usable.
    #[error("the model's vocabulary {0}")]
    Vocabulary(&'static str),
    /// A folder does not contain the expected model.
    #[error("{} does not contain {model}: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The expected model.
        model: &'static str,
        /// Which file is missing or invalid, and why.
        reason: String,
    },
    /// A loaded model failed to compute.
    #[error("the model failed to compute")]
    Compute(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A setting of the model can't work.
    #[error("{setting} {reason}")]
    Settings {
        /// The kind of the model.
        kind: ModelKind,
        /// The key of the setting, or the environment variable of a service's key.
        setting: &'static str,
        /// The fault, as the end of a sentence that begins with the setting.
        reason: String,
    },
    /// The client of a service could not be created.
    #[error("could not create the client of the {kind}: {reason}")]
    Client {
        /// The kind of the model.
        kind: ModelKind,
        /// The cause.
        reason: String,
    },
    /// The service does not answer now.
    #[error("the {kind} at {server} is not available: {reason}; try again later")]
    Unavailable {
        /// The kind of the model.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// The result of the last attempt.
        reason: String,
        /// How long the service asks to wait.
        wait: Option<Duration>,
    },
    /// The service rejects the request: a key, a model name or an address is wrong.
    #[error("the {kind} at {server} rejects the request ({reason})")]
    Refused {
        /// The kind of the model.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// The name of the model at the service.
        model: String,
        /// The status, and the service's own message.
        reason: String,
        /// What the status and the message mean.
        cause: RefusalCause,
    },
    /// The service's answer is not usable.
    #[error("the {kind} at {server} answered {answer}")]
    Answer {
        /// The kind of the model.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// Its answer.
        answer: String,
        /// Whether the answer can be read but has no text.
        is_empty: bool,
    },
    /// The model returns vectors of another length.
    #[error("model `{model}` returns vectors of {found} dims, {expected} were expected")]
    Dims {
        /// The model's name.
        model: String,
        /// The configured dims.
        expected: usize,
        /// The actual dims.
        found: usize,
    },
}

impl ModelError {
    /// The kind of the model.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::Settings { kind, .. }
            | Self::Client { kind, .. }
            | Self::Unavailable { kind, .. }
            | Self::Refused { kind, .. }
            | Self::Answer { kind, .. } => *kind,
            // Only embedders are loaded from files and have dims.
            Self::Weights(_)
            | Self::Tensor { .. }
            | Self::Vocabulary(_)
            | Self::Folder { .. }
            | Self::Compute(_)
            | Self::Dims { .. } => ModelKind::Embedder,
        }
    }
}
