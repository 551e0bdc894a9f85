//! The interface of all embedders.

use crate::error::ModelError;

/// A text's vector, and how much of the text it is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Its length is 1, so the dot product of two vectors is the cosine of their angle. A text without meaning to the
    /// model, such as the empty text, has the zero vector.
    pub vector: Vec<f32>,
    /// The number of pieces whose mean the vector is; 1 if the text was embedded as a whole, 0 if no part of it was.
    pub pieces: usize,
    /// The number of pieces that the model refused or does not read; they have no influence on the vector.
    pub left_out: usize,
}

impl Embedding {
    /// The vector of a text that was embedded as a whole.
    pub fn whole(vector: Vec<f32>) -> Self {
        Self { vector, pieces: 1, left_out: 0 }
    }

    /// The vector of the beginning of a text, of a model that reads no more of it.
    pub fn of_beginning(vector: Vec<f32>) -> Self {
        Self { vector, pieces: 1, left_out: 1 }
    }

    /// Whether the vector is that of the whole text.
    pub fn is_whole(&self) -> bool {
        self.pieces == 1 && self.left_out == 0
    }
}

/// Turns texts into vectors. Vectors of texts with similar meanings are near each other.
pub trait Embedder: Send + Sync {
    /// The length of every vector.
    fn dims(&self) -> usize;

    /// Identifies the model and its weights. Stores record it: vectors are comparable if their fingerprints are equal.
    fn fingerprint(&self) -> &str;

    /// Returns one embedding with a vector of [`dims`](Self::dims) numbers for each text, in order.
    ///
    /// A text that is too long for the model is cut into pieces, and its vector is the normalised mean of their vectors; a
    /// local model reads its beginning only. A text, or a piece, that the model refuses for its content is left out; it is not
    /// an error.
    ///
    /// # Errors
    /// If the model is not available, or refuses every text.
    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError>;

    /// The vectors of [`embed_texts`](Self::embed_texts) alone.
    ///
    /// # Errors
    /// Those of [`embed_texts`](Self::embed_texts).
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(self.embed_texts(texts)?.into_iter().map(|embedding| embedding.vector).collect())
    }

    /// The share of a text's words that the model knows, 0 ..= 1. Cosines of texts with unknown words say little.
    ///
    /// A model that is not known to lack words, such as one behind an endpoint, knows all.
    fn known_share(&self, _text: &str) -> f32 {
        1.0
    }

    /// Whether the model was trained on English alone.
    fn is_english_only(&self) -> bool {
        false
    }
}

/// Scales a vector to length 1; the zero vector stays zero.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

/// The parts of one text that were embedded so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts {
    /// The sum of their vectors, each of length 1; empty before the first.
    sum: Vec<f32>,
    pieces: usize,
    left_out: usize,
}

impl Parts {
    /// Adds the vector of a part.
    pub(crate) fn add(&mut self, mut vector: Vec<f32>) {
        normalise(&mut vector);
        self.add_sum(&vector);
        self.pieces += 1;
    }

    /// Adds a part that the model refuses.
    pub(crate) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Adds the parts of a part.
    pub(crate) fn join(&mut self, other: &Self) {
        self.add_sum(&other.sum);
        self.pieces += other.pieces;
        self.left_out += other.left_out;
    }

    /// Whether the text was embedded as a whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.pieces == 1 && self.left_out == 0
    }

    /// The embedding of the text. A text without parts has no meaning: its zero vector is that of the whole text.
    pub(crate) fn embedding(self, dims: usize) -> Embedding {
        let Self { mut sum, pieces, left_out } = self;
        if sum.is_empty() {
            sum = vec![0.0; dims];
        }
        normalise(&mut sum);
        Embedding { vector: sum, pieces: if left_out == 0 { pieces.max(1) } else { pieces }, left_out }
    }

    fn add_sum(&mut self, vector: &[f32]) {
        if self.sum.is_empty() {
            self.sum = vector.to_vec();
        } else {
            self.sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
        }
    }
}
