//! What can go wrong with a model.

use std::path::PathBuf;

use safetensors::SafeTensorError;

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
    /// An embedder that was configured in a way that can't work; the text says what to change.
    #[error("{0}")]
    Settings(String),
    /// A service that makes vectors does not answer, or not now.
    #[error("the embedder at {server} is not available: {reason}. Nothing was stored; try again when it is back")]
    Unavailable {
        /// Its base URL.
        server: String,
        /// What was seen at the last try.
        reason: String,
    },
    /// A service that makes vectors refuses: a key, a model or an address is wrong.
    #[error("the embedder at {server} refuses ({reason}): {advice}")]
    Refused {
        /// Its base URL.
        server: String,
        /// The status, and its own words.
        reason: String,
        /// Which setting to look at.
        advice: String,
    },
    /// What came is no answer to the question.
    #[error(
        "the embedder at {server} answered {answer}: look whether embedder_url (MNEMON_EMBEDDER_URL) is the base URL of an OpenAI-compatible service"
    )]
    Answer {
        /// Its base URL.
        server: String,
        /// What it answered.
        answer: String,
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
