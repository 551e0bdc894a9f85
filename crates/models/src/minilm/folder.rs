//! Loads the model from a folder: weights, configuration and vocabulary, each checked before it is used.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};

use super::shape::{CLS, DIMS, FILES, LAYERS, MAX_PIECES, NAME, PAD, SEP};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;

/// Reads the tokenizer and the model.
pub(super) fn read(folder: &Path) -> Result<(WordPiece, BertModel), ModelError> {
    let [config, weights, vocabulary] = FILES;
    let invalid = |name: &str, reason: &dyn std::fmt::Display| error(folder, &format!("{name}: {reason}"));
    let file = |name: &str| std::fs::read(folder.join(name)).map_err(|error| invalid(name, &error));

    let text = String::from_utf8(file(vocabulary)?).map_err(|error| invalid(vocabulary, &error))?;
    let tokenizer = WordPiece::new(text).map_err(|error| invalid(vocabulary, &error))?;
    let mut special = Vec::new();
    tokenizer.encode("[CLS][SEP][PAD]", 3, &mut special);

    let shape: Config = serde_json::from_slice(&file(config)?).map_err(|error| invalid(config, &error))?;
    let is_expected = shape.hidden_size == DIMS
        && shape.num_hidden_layers == LAYERS
        && shape.vocab_size == tokenizer.len()
        && shape.max_position_embeddings >= MAX_PIECES
        && special == [CLS, SEP, PAD];
    if !is_expected {
        return Err(invalid(config, &"it describes another model, or vocab.txt is another model's"));
    }

    let weights_of =
        |bytes| BertModel::load(VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)?, &shape);
    let model = weights_of(file(weights)?).map_err(|error| invalid(weights, &error))?;
    Ok((tokenizer, model))
}

/// The error of a folder that does not contain the model.
pub(super) fn error(folder: &Path, reason: &str) -> ModelError {
    ModelError::Folder { folder: folder.to_owned(), model: NAME, reason: reason.to_owned() }
}
