//! An embedder that costs almost nothing, so that the store is what is measured.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mnemon_models::{Embedder, Embedding, ModelError};

/// Each word is a fixed pseudo-random direction, a text the sum of its words.
pub struct HashedWords {
    dims: usize,
    fingerprint: String,
    nanos: AtomicU64,
}

impl HashedWords {
    /// An embedder with vectors of this length.
    pub fn new(dims: usize) -> Self {
        Self { dims, fingerprint: format!("hashed-words-{dims}"), nanos: AtomicU64::new(0) }
    }

    /// Time spent embedding, summed over all threads.
    pub fn time_spent(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dims];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let mut hasher = std::hash::DefaultHasher::new();
            word.to_lowercase().hash(&mut hasher);
            let mut state = hasher.finish() | 1;
            for value in &mut vector {
                // xorshift64.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *value += (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            }
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        }
        vector
    }
}

impl Embedder for HashedWords {
    fn dims(&self) -> usize {
        self.dims
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        let start = Instant::now();
        let vectors = texts.iter().map(|text| Embedding::whole(self.vector(text))).collect();
        self.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(vectors)
    }
}
