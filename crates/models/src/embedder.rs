//! The interface of all embedders.

use crate::error::ModelError;

/// Turns texts into vectors. Vectors of texts with similar meanings are near each other.
pub trait Embedder: Send + Sync {
    /// The length of every vector.
    fn dims(&self) -> usize;

    /// Identifies the model and its weights. Stores record it: vectors are comparable if their fingerprints are equal.
    fn fingerprint(&self) -> &str;

    /// Returns one vector of [`dims`](Self::dims) numbers for each text, in order.
    ///
    /// Vectors have length 1, so their dot product is the cosine of their angle. A text without meaning to the model, such
    /// as the empty text, gives the zero vector. Long texts may be truncated.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError>;

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
