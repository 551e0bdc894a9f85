//! all-MiniLM-L6-v2 in this process, on the CPU: better vectors than the built-in ones for a thousandth of their speed.

mod batches;
mod folder;

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use candle_transformers::models::bert::BertModel;

use crate::embedder::{Embedder, normalise};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;
use batches::Batch;

/// The model's name, as its publisher writes it.
const NAME: &str = "all-MiniLM-L6-v2";
const DIMS: usize = MiniLmEmbedder::DIMS;
/// Word pieces that are read, `[CLS]` and `[SEP]` among them: `max_seq_length` of the model's `sentence_bert_config.json`.
const MAX_PIECES: usize = 256;
const CLS: u16 = 101;
const SEP: u16 = 102;
const PAD: u16 = 0;
/// How the vector of "hello" begins, by which the model is known.
const HELLO: [f32; 4] = [-0.062772, 0.054959, 0.052165, 0.085790];

/// all-MiniLM-L6-v2 as sentence-transformers runs it: six layers of BERT, the mean over all word pieces, length 1.
///
/// 23 million parameters, 90 MB of memory. Texts are cut at 256 word pieces. Vectors differ from PyTorch's in the
/// last digits only; but sentence-transformers gives the empty text a vector, and this the zero vector.
pub struct MiniLmEmbedder {
    tokenizer: WordPiece,
    model: BertModel,
}

impl MiniLmEmbedder {
    /// The length of its vectors.
    pub const DIMS: usize = 384;
    /// What a store notes of it, and of every embedder that gives the same vectors.
    pub const FINGERPRINT: &str = "minilm:all-MiniLM-L6-v2:384";
    /// Files that [`open`](Self::open) reads, under the names that the model is published with.
    pub const FILES: [&str; 3] = ["config.json", "model.safetensors", "vocab.txt"];

    /// Loads the model from a folder that holds [`FILES`](Self::FILES). Takes some 100 ms: keep it.
    ///
    /// # Errors
    /// [`ModelError::Folder`] if a file is missing, can't be read, or is another model's. Vectors of another model could
    /// not be compared with those already stored, so the vector of one word is held against the known one.
    pub fn open(folder: &Path) -> std::result::Result<Self, ModelError> {
        let (tokenizer, model) = folder::read(folder)?;
        let this = Self { tokenizer, model };
        let hello = this.embed(&["hello"])?;
        let near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-3;
        if hello[0].iter().zip(&HELLO).all(near) {
            Ok(this)
        } else {
            Err(folder::unfit(folder, "its weights are another model's"))
        }
    }

    /// The ids of a text between `[CLS]` and `[SEP]`; none for a text that says nothing.
    fn pieces(&self, text: &str) -> Vec<u16> {
        let mut pieces = vec![CLS];
        self.tokenizer.encode(text, MAX_PIECES - 2, &mut pieces);
        if pieces.len() == 1 {
            pieces.clear();
        } else {
            pieces.push(SEP);
        }
        pieces
    }

    /// The vectors of a batch, in its order.
    fn embed_batch(&self, batch: &Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let (texts, width) = (batch.len(), batch.width());
        let ids = Tensor::from_vec(batch.ids(), (texts, width), &Device::Cpu)?;
        let mask = Tensor::from_vec(batch.mask(), (texts, width), &Device::Cpu)?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?.flatten_all()?.to_vec1::<f32>()?;
        Ok(states.chunks(width * DIMS).zip(batch.lengths()).map(|(states, length)| pooled(states, length)).collect())
    }
}

/// The mean of a text's first `length` states, as long as 1.
fn pooled(states: &[f32], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0; DIMS];
    for state in states.chunks_exact(DIMS).take(length) {
        sum.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
    }
    // The mean differs from the sum by a factor only, which falls out here.
    normalise(&mut sum);
    sum
}

impl Embedder for MiniLmEmbedder {
    fn dims(&self) -> usize {
        DIMS
    }

    fn fingerprint(&self) -> &str {
        Self::FINGERPRINT
    }

    fn embed(&self, texts: &[&str]) -> std::result::Result<Vec<Vec<f32>>, ModelError> {
        let pieces: Vec<Vec<u16>> = texts.iter().map(|text| self.pieces(text)).collect();
        let mut vectors = vec![vec![0.0; DIMS]; texts.len()];
        for batch in batches::of(&pieces) {
            let found = self.embed_batch(&batch).map_err(|error| ModelError::Compute(Box::new(error)))?;
            for (at, vector) in batch.places().zip(found) {
                vectors[at] = vector;
            }
        }
        Ok(vectors)
    }
}

impl std::fmt::Debug for MiniLmEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MiniLmEmbedder").finish_non_exhaustive()
    }
}
