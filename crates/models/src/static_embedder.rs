//! The built-in embedder: a vector for each word piece, averaged. No network, no runtime, no file to load.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors};

use crate::embedder::{Embedder, normalise};
use crate::error::ModelError;
use crate::wordpiece::WordPiece;

const WEIGHTS: &[u8] = include_bytes!("../static-256/model.safetensors");
const VOCABULARY: &str = include_str!("../static-256/vocab.txt");
/// "static-256:" and the first 16 hex digits of the weights' SHA-256.
const FINGERPRINT: &str = "static-256:1265e35269e212ee";
const DIMS: usize = 256;
/// Word pieces after these are not read.
const MAX_PIECES: usize = 256;
/// Batches below this size are not worth waking other threads for.
const PARALLEL_FROM: usize = 64;
/// Texts a thread takes at a time.
const TEXTS_AT_A_TIME: usize = 32;

/// static-256: all-MiniLM-L6-v2 distilled into one vector a word piece; `static-256/README.md` says how.
///
/// The weights lie in the binary as signed bytes with a scale a row, and are read where they lie: only the pages of
/// words that occur are ever in memory. Clones share their tables.
#[derive(Clone, Debug)]
pub struct StaticEmbedder {
    tokenizer: Arc<WordPiece>,
    /// Rows of [`DIMS`] signed bytes, one a word piece.
    rows: &'static [u8],
    /// Little-endian f32, one a word piece.
    scales: &'static [[u8; 4]],
}

impl StaticEmbedder {
    /// The embedder compiled into this crate. Takes about a millisecond: keep it, and clone it.
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

    /// The vector of one text; `pieces` is room for its word pieces.
    fn embed_one(&self, text: &str, pieces: &mut Vec<u16>) -> Vec<f32> {
        pieces.clear();
        self.tokenizer.encode(text, MAX_PIECES, pieces);
        let mut sum = vec![0.0; DIMS];
        for &piece in pieces.iter() {
            let piece = usize::from(piece);
            let scale = f32::from_le_bytes(self.scales[piece]);
            add_row(&mut sum, &self.rows[row(piece)], scale);
        }
        // The mean differs from the sum by a factor only, which falls out here.
        normalise(&mut sum);
        sum
    }
}

impl Embedder for StaticEmbedder {
    fn dims(&self) -> usize {
        DIMS
    }

    fn fingerprint(&self) -> &str {
        FINGERPRINT
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        let room = || Vec::with_capacity(MAX_PIECES);
        Ok(if texts.len() < PARALLEL_FROM {
            let mut pieces = room();
            texts.iter().map(|text| self.embed_one(text, &mut pieces)).collect()
        } else {
            let texts = texts.par_iter().with_min_len(TEXTS_AT_A_TIME);
            texts.map_init(room, |pieces, text| self.embed_one(text, pieces)).collect()
        })
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
