//! An embedder with a cache. The same names occur again and again, and remote embedders are slow and cost money.

use std::collections::{BTreeSet, HashMap};

use mnemon_models::{Embedder, Embedding, ModelError};
use parking_lot::Mutex;

/// The number of cached vectors: about 30 MB with 384 dims.
const MAX_CACHED: usize = 20_000;

/// Caches the vectors of another embedder.
pub(crate) struct CachedEmbedder<'e> {
    inner: &'e dyn Embedder,
    vectors: Mutex<HashMap<String, Embedding>>,
}

impl<'e> CachedEmbedder<'e> {
    pub(crate) fn new(inner: &'e dyn Embedder) -> Self {
        Self { inner, vectors: Mutex::default() }
    }
}

impl Embedder for CachedEmbedder<'_> {
    fn dims(&self) -> usize {
        self.inner.dims()
    }

    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        let mut found: HashMap<&str, Embedding> = {
            let vectors = self.vectors.lock();
            texts.iter().filter_map(|text| Some((*text, vectors.get(*text)?.clone()))).collect()
        };
        let missing: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| !found.contains_key(text))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if !missing.is_empty() {
            let embedded = self.inner.embed_texts(&missing)?;
            let mut vectors = self.vectors.lock();
            if vectors.len() + missing.len() > MAX_CACHED {
                vectors.clear();
            }
            for (text, vector) in missing.into_iter().zip(embedded) {
                vectors.insert(text.to_owned(), vector.clone());
                found.insert(text, vector);
            }
        }
        Ok(texts.iter().map(|text| found[text].clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes vectors of the text length, and records the embedded texts.
    struct RecordingEmbedder(Mutex<Vec<String>>);

    impl Embedder for RecordingEmbedder {
        fn dims(&self) -> usize {
            1
        }

        fn fingerprint(&self) -> &str {
            "recording"
        }

        fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
            self.0.lock().extend(texts.iter().map(|text| (*text).to_owned()));
            Ok(texts.iter().map(|text| Embedding::whole(vec![text.len() as f32])).collect())
        }
    }

    #[test]
    fn a_text_is_embedded_once() {
        let inner = RecordingEmbedder(Mutex::default());
        let embedder = CachedEmbedder::new(&inner);
        assert_eq!(embedder.embed(&["bb", "a", "bb"]).unwrap(), [[2.0], [1.0], [2.0]]);
        assert_eq!(embedder.embed(&["ccc", "a"]).unwrap(), [[3.0], [1.0]]);
        assert_eq!(*inner.0.lock(), ["a", "bb", "ccc"]);
    }
}
