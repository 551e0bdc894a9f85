//! all-MiniLM-L6-v2 in this process, on the CPU: better vectors than the built-in embedder, at a thousandth of its speed.

mod batches;
mod folder;
mod shape;

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use candle_transformers::models::bert::BertModel;

use crate::embedder::{Embedder, Embedding, normalise};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;
use batches::Batch;
use shape::{CLS, DIMS, HELLO, MAX_PIECES, SEP};

/// all-MiniLM-L6-v2, computed as in sentence-transformers: six layers of BERT, the mean over all word pieces, scaled to
/// length 1.
///
/// 23 million parameters, 90 MB of memory. Texts are truncated at 256 word pieces. Vectors differ from PyTorch's in the
/// last digits only. The empty text gets the zero vector, unlike in sentence-transformers.
pub struct MiniLmEmbedder {
    tokenizer: WordPiece,
    model: BertModel,
}

impl MiniLmEmbedder {
    /// The length of its vectors.
    pub const DIMS: usize = DIMS;
    /// Its fingerprint.
    pub const FINGERPRINT: &str = "minilm:all-MiniLM-L6-v2:384";
    /// The files that [`open`](Self::open) reads, under the names with which the model is published.
    pub const FILES: [&str; 3] = shape::FILES;

    /// Loads the model from a folder with [`FILES`](Self::FILES). Takes about 100 ms, so load it once.
    ///
    /// # Errors
    /// [`ModelError::Folder`] if a file is missing, can't be read, or belongs to another model. Vectors of another model
    /// would not be comparable with stored ones, so the vector of one word is compared with the known one.
    pub fn open(folder: &Path) -> std::result::Result<Self, ModelError> {
        let (tokenizer, model) = folder::read(folder)?;
        let this = Self { tokenizer, model };
        let hello = this.embed(&["hello"])?;
        let is_near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-3;
        if hello[0].iter().zip(&HELLO).all(is_near) {
            Ok(this)
        } else {
            Err(folder::error(folder, "its weights are another model's"))
        }
    }

    /// The word pieces of a text between `[CLS]` and `[SEP]`, none for a text without pieces; and whether it has more.
    fn pieces(&self, text: &str) -> (Vec<u16>, bool) {
        let mut pieces = vec![CLS];
        let has_more = self.tokenizer.encode_beginning(text, MAX_PIECES - 2, &mut pieces);
        if pieces.len() == 1 {
            pieces.clear();
        } else {
            pieces.push(SEP);
        }
        (pieces, has_more)
    }

    /// Embeds a batch, in its order.
    fn embed_batch(&self, batch: &Batch<'_>) -> Result<Vec<Vec<f32>>> {
        let (texts, width) = (batch.len(), batch.width());
        let ids = Tensor::from_vec(batch.ids(), (texts, width), &Device::Cpu)?;
        let mask = Tensor::from_vec(batch.mask(), (texts, width), &Device::Cpu)?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?.flatten_all()?.to_vec1::<f32>()?;
        Ok(states.chunks(width * DIMS).zip(batch.lengths()).map(|(states, length)| pool(states, length)).collect())
    }
}

/// The mean of a text's first `length` states, scaled to length 1.
fn pool(states: &[f32], length: usize) -> Vec<f32> {
    let mut sum = vec![0.0; DIMS];
    for state in states.chunks_exact(DIMS).take(length) {
        sum.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
    }
    // The mean and the sum differ by a factor only, so they have the same normalised vector.
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

    fn embed_texts(&self, texts: &[&str]) -> std::result::Result<Vec<Embedding>, ModelError> {
        let (pieces, have_more): (Vec<Vec<u16>>, Vec<bool>) = texts.iter().map(|text| self.pieces(text)).unzip();
        let mut vectors = vec![vec![0.0; DIMS]; texts.len()];
        for batch in batches::batches(&pieces) {
            let found = self.embed_batch(&batch).map_err(|error| ModelError::Compute(Box::new(error)))?;
            for (at, vector) in batch.indexes().zip(found) {
                vectors[at] = vector;
            }
        }
        let embedding = |(vector, has_more)| match has_more {
            true => Embedding::of_beginning(vector),
            false => Embedding::whole(vector),
        };
        Ok(vectors.into_iter().zip(have_more).map(embedding).collect())
    }

    fn known_share(&self, text: &str) -> f32 {
        self.tokenizer.known_share(text)
    }

    fn is_english_only(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for MiniLmEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MiniLmEmbedder").finish_non_exhaustive()
    }
}
