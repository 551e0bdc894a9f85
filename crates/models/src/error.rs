//! What can go wrong with a model.

use std::path::PathBuf;
use std::time::Duration;

use safetensors::SafeTensorError;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Makes vectors.
    Embedder,
    /// Answers in words.
    LanguageModel,
    /// Judges how well memories answer a question.
    Reranker,
}

impl ModelKind {
    /// Its name, for people.
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

/// Why a model could not be loaded or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The weights are no safetensors file, or lack a tensor.
    #[error("the model's weights cannot be read")]
    Weights(#[from] SafeTensorError),
    /// The weights are readable, but not of the form the model needs.
    #[error("the model's tensor `{tensor}` should be {expected}")]
    Tensor {
        /// The tensor's name.
        tensor: &'static str,
        /// Type and shape it should have.
        expected: String,
    },
    /// The vocabulary cannot serve a tokenizer.
    #[error("the model's vocabulary {0}")]
    Vocabulary(&'static str),
    /// A folder does not hold the model it should.
    #[error("{} does not hold {model}: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The model that was looked for.
        model: &'static str,
        /// What is missing or wrong.
        reason: String,
    },
    /// A model that was loaded could not compute.
    #[error("the model could not compute")]
    Compute(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A model that was configured in a way that can't work; the text says what to change.
    #[error("{0}")]
    Settings(String),
    /// The service does not answer, or not now.
    #[error("the {kind} at {server} is not available: {reason}; try again when it is back")]
    Unavailable {
        /// What kind of model it is.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// What was seen at the last try.
        reason: String,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// The service refuses: a key, a model or an address is wrong.
    #[error("the {kind} at {server} refuses ({reason}): {advice}")]
    Refused {
        /// What kind of model it is.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// The status, and its own words.
        reason: String,
        /// Which setting to look at.
        advice: String,
    },
    /// What came is no answer to the question.
    #[error("the {kind} at {server} answered {answer}: {advice}")]
    Answer {
        /// What kind of model it is.
        kind: ModelKind,
        /// Its base URL.
        server: String,
        /// What it answered.
        answer: String,
        /// What to look at.
        advice: &'static str,
    },
    /// The model makes vectors of another length.
    #[error(
        "model `{model}` makes vectors of {found} dims, {expected} were expected: set embedder_dims (MNEMON_EMBEDDER_DIMS) to {found}"
    )]
    Dims {
        /// The model's name.
        model: String,
        /// The dims it was configured with.
        expected: usize,
        /// The dims it has.
        found: usize,
    },
}
