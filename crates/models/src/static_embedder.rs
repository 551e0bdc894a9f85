//! The built-in embedder: the mean of one vector for each word piece. Needs no network, no runtime and no file.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::embedder::{Embedder, Embedding, normalise};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;

const WEIGHTS: &[u8] = include_bytes!("../static-256/model.safetensors");
const VOCABULARY: &str = include_str!("../static-256/vocab.txt");
/// "static-256:" and the first 16 hex digits of the weights' SHA-256.
const FINGERPRINT: &str = "static-256:1265e35269e212ee";
const DIMS: usize = 256;
/// Maximum number of word pieces of a text; the rest is ignored. The mean of more says less about any of them: on long
/// messages questions find fewer of the right ones.
const MAX_PIECES: usize = 256;
/// Minimum number of texts for which other threads are used.
const MIN_PARALLEL: usize = 64;
/// Minimum number of texts that a thread embeds.
const MIN_PER_THREAD: usize = 32;

/// static-256: all-MiniLM-L6-v2 distilled into one vector for each word piece; `static-256/README.md` describes how.
///
/// The weights are part of the binary, as signed bytes with one scale for each row, and are not copied: only the pages of
/// words that occur are loaded into memory. Clones share the tables.
#[derive(Clone, Debug)]
pub struct StaticEmbedder {
    tokenizer: Arc<WordPiece>,
    /// Rows of [`DIMS`] signed bytes, one for each word piece.
    rows: &'static [u8],
    /// Little-endian f32, one for each word piece.
    scales: &'static [[u8; 4]],
}

impl StaticEmbedder {
    /// Loads the embedder that is compiled into this crate. Takes about a millisecond, so load it once and clone it.
    ///
    /// # Errors
    /// Only if the crate was built with damaged weights.
    pub fn builtin() -> Result<Self, ModelError> {
        let tokenizer = WordPiece::new(VOCABULARY)?;
        let pieces = tokenizer.len();
        let weights = SafeTensors::deserialize(WEIGHTS)?;
        let rows = tensor(&weights, "embeddings", Dtype::I8, &[pieces, DIMS])?;
        let scales = tensor(&weights, "scales", Dtype::F32, &[pieces])?.as_chunks().0;
        Ok(Self { tokenizer: Arc::new(tokenizer), rows, scales })
    }

    /// Embeds one text; `pieces` is a buffer for its word pieces.
    fn embed_one(&self, text: &str, pieces: &mut Vec<u16>) -> Embedding {
        pieces.clear();
        let has_more = self.tokenizer.encode_beginning(text, MAX_PIECES, pieces);
        let mut sum = vec![0.0; DIMS];
        for &piece in pieces.iter() {
            let piece = usize::from(piece);
            let scale = f32::from_le_bytes(self.scales[piece]);
            add_row(&mut sum, &self.rows[row(piece)], scale);
        }
        // The mean and the sum differ by a factor only, so they have the same normalised vector.
        normalise(&mut sum);
        if has_more { Embedding::of_beginning(sum) } else { Embedding::whole(sum) }
    }
}

impl Embedder for StaticEmbedder {
    fn dims(&self) -> usize {
        DIMS
    }

    fn fingerprint(&self) -> &str {
        FINGERPRINT
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        let buffer = || Vec::with_capacity(MAX_PIECES);
        Ok(if texts.len() < MIN_PARALLEL {
            let mut pieces = buffer();
            texts.iter().map(|text| self.embed_one(text, &mut pieces)).collect()
        } else {
            let texts = texts.par_iter().with_min_len(MIN_PER_THREAD);
            texts.map_init(buffer, |pieces, text| self.embed_one(text, pieces)).collect()
        })
    }

    fn known_share(&self, text: &str) -> f32 {
        self.tokenizer.known_share(text)
    }

    fn is_english_only(&self) -> bool {
        true
    }
}

fn row(piece: usize) -> Range<usize> {
    piece * DIMS..(piece + 1) * DIMS
}

fn add_row(sum: &mut [f32], row: &[u8], scale: f32) {
    for (sum, &byte) in sum.iter_mut().zip(row) {
        *sum += scale * f32::from(byte.cast_signed());
    }
}

fn tensor(
    weights: &SafeTensors<'static>,
    name: &'static str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'static [u8], ModelError> {
    let tensor = weights.tensor(name)?;
    if tensor.dtype() == dtype && tensor.shape() == shape {
        Ok(tensor.data())
    } else {
        Err(ModelError::Tensor { tensor: name, expected: format!("{dtype:?} {shape:?}") })
    }
}
