//! The model as it lies in a folder: weights, shape and vocabulary, each checked before it is used.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};

use super::{CLS, DIMS, MAX_PIECES, MiniLmEmbedder, NAME, PAD, SEP};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;

/// Reads the tokenizer and the model.
pub(super) fn read(folder: &Path) -> Result<(WordPiece, BertModel), ModelError> {
    let [config, weights, vocabulary] = MiniLmEmbedder::FILES;
    let unfit = |name: &str, reason: &dyn std::fmt::Display| unfit(folder, &format!("{name}: {reason}"));
    let file = |name: &str| std::fs::read(folder.join(name)).map_err(|error| unfit(name, &error));

    let text = String::from_utf8(file(vocabulary)?).map_err(|error| unfit(vocabulary, &error))?;
    let tokenizer = WordPiece::new(text).map_err(|error| unfit(vocabulary, &error))?;
    let mut special = Vec::new();
    tokenizer.encode("[CLS][SEP][PAD]", 3, &mut special);

    let shape: Config = serde_json::from_slice(&file(config)?).map_err(|error| unfit(config, &error))?;
    let fits = shape.hidden_size == DIMS
        && shape.num_hidden_layers == 6
        && shape.vocab_size == tokenizer.len()
        && shape.max_position_embeddings >= MAX_PIECES
        && special == [CLS, SEP, PAD];
    if !fits {
        return Err(unfit(config, &"it describes another model, or vocab.txt is another model's"));
    }

    let weights_of =
        |bytes| BertModel::load(VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)?, &shape);
    let model = weights_of(file(weights)?).map_err(|error| unfit(weights, &error))?;
    Ok((tokenizer, model))
}

pub(super) fn unfit(folder: &Path, reason: &str) -> ModelError {
    ModelError::Folder { folder: folder.to_owned(), model: NAME, reason: reason.to_owned() }
}
