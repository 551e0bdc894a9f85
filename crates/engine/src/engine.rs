//! The engine: a store, an embedder, and the locks that serialise writes to a scope.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mnemon_models::{ChatModel, Embedder, Embedding};
use mnemon_store::{ChangeSet, Payload, Scope, Store, StoreError};

use crate::config::{EngineConfig, ModelServices};
use crate::embedding_text::embedding_text;
use crate::error::{EngineError, Result};

/// Maximum number of attempts of a write that conflicts with other writers.
pub(crate) const MAX_CONFLICTS: usize = 1000;

/// Stores and finds memories. Shared between threads; every method blocks.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) config: EngineConfig,
    pub(crate) model_services: ModelServices,
    locks: [Mutex<()>; 64],
}

impl Engine {
    /// Creates an engine over a store whose vectors come from this embedder.
    pub fn new(store: Arc<dyn Store>, embedder: Arc<dyn Embedder>, config: EngineConfig) -> Self {
        Self {
            store,
            embedder,
            config,
            model_services: ModelServices::default(),
            locks: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Adds a language model, a reranker, and the store of their jobs.
    #[must_use]
    pub fn with_model_services(self, model_services: ModelServices) -> Self {
        Self { model_services, ..self }
    }

    /// The language model, if one is configured.
    pub fn language_model(&self) -> Option<&dyn ChatModel> {
        self.model_services.llm.as_deref()
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Builds a change set from the stored state and commits it. If another process writes to one of the scopes in
    /// between, the change set is built and committed again.
    pub(crate) fn commit<T>(&self, scopes: &[&Scope], mut build: impl FnMut() -> Result<(ChangeSet, T)>) -> Result<T> {
        let _guards = self.lock(scopes);
        for _ in 0..MAX_CONFLICTS {
            let expected = scopes
                .iter()
                .map(|scope| Ok(((*scope).clone(), self.store.scope_version(scope)?)))
                .collect::<Result<Vec<_>>>()?;
            let (mut changes, answer) = build()?;
            changes.expected = expected;
            match self.store.apply(&changes) {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::Store(StoreError::Busy))
    }

    /// Serialises the writers of this process that touch the same scopes. Writers of other processes are detected by the
    /// scope versions in each change set.
    pub(crate) fn lock(&self, scopes: &[&Scope]) -> Vec<MutexGuard<'_, ()>> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        // Locked in ascending order, so that two writers with several scopes can't deadlock.
        let stripes: BTreeSet<usize> =
            scopes.iter().map(|scope| hasher.hash_one(scope) as usize % self.locks.len()).collect();
        stripes.into_iter().map(|stripe| self.locks[stripe].lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// Embeds texts: one vector for each.
    pub(crate) fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(self.embed_texts(texts)?.into_iter().map(|embedding| embedding.vector).collect())
    }

    /// Embeds texts of any length.
    pub(crate) fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        let embeddings = self.embedder.embed_texts(texts)?;
        metrics::histogram!("mnemon_embed_seconds").record(start.elapsed());
        metrics::counter!("mnemon_embedded_texts_total").increment(texts.len() as u64);
        Ok(embeddings)
    }

    /// Embeds the texts of payloads, and records in each how that was done. Returns the vectors.
    pub(crate) fn embed_payloads<'p>(&self, payloads: impl Iterator<Item = &'p mut Payload>) -> Result<Vec<Vec<f32>>> {
        let payloads: Vec<&mut Payload> = payloads.collect();
        let texts: Vec<String> = payloads.iter().map(|payload| embedding_text(payload)).collect();
        let embeddings = self.embed_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let record = |(payload, embedding): (&mut Payload, Embedding)| {
            payload.set_embedded(embedding.pieces, embedding.left_out);
            embedding.vector
        };
        Ok(payloads.into_iter().zip(embeddings).map(record).collect())
    }
}
