//! What can go wrong with a model.

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
}
