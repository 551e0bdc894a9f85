//! What every embedder promises.

use crate::error::ModelError;

/// Turns texts into vectors, those of near meaning near one another.
pub trait Embedder: Send + Sync {
    /// The length of every vector.
    fn dims(&self) -> usize;

    /// Names the model and its weights. Vectors may be compared where this is equal; stores keep it beside them.
    fn fingerprint(&self) -> &str;

    /// One vector of [`dims`](Self::dims) numbers a text, in order.
    ///
    /// Vectors have length 1, so their dot product is the cosine of their angle. A text that says nothing to the
    /// model, the empty one above all, gives the zero vector. Long texts may be cut.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError>;
}

/// Scales to length 1; the zero vector stays.
pub(crate) fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}
