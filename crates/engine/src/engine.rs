//! The engine itself: a store, an embedder, and the locks that serialise writes to a scope.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Span, Timestamp, Zoned};
use mnemon_models::{ChatModel, Embedder, Reranker};
use mnemon_store::{ChangeSet, DocumentStore, Scope, Store, StoreError};

use crate::search::FusionWeights;
use crate::search::Mem0Config;
use crate::{EngineError, Result};

/// The longest text of one memory.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// What can be tuned.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Weights of the default ranking.
    pub fusion: FusionWeights,
    /// Constants of mem0's ranking.
    pub mem0: Mem0Config,
    /// A message that comes later than this after the one before begins a new session, unless the caller names one.
    pub session_gap: Span,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { fusion: FusionWeights::default(), mem0: Mem0Config::default(), session_gap: Span::new().minutes(30) }
    }
}

/// What it takes to understand what was said, beyond embedding it.
#[derive(Clone)]
pub struct ModelServices {
    /// Extracts facts, answers and judges; without one facts are extracted by rules.
    pub llm: Option<Arc<dyn ChatModel>>,
    /// Where requests wait whose model was away; without one they fail.
    pub documents: Option<Arc<dyn DocumentStore>>,
    /// Judges the best of what a search finds, where that is asked for.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// What every extraction is told beside its task.
    pub instructions: Option<String>,
    /// For how long a request that is being worked on is nobody else's; longer than a model takes for it.
    pub lease: Duration,
}

impl Default for ModelServices {
    fn default() -> Self {
        Self { llm: None, documents: None, reranker: None, instructions: None, lease: Duration::from_secs(180) }
    }
}

/// Remembers and finds. Shared between threads; every method blocks.
pub struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) config: EngineConfig,
    pub(crate) model_services: ModelServices,
    locks: [Mutex<()>; 64],
}

impl Engine {
    /// An engine over a store whose vectors come from this embedder.
    pub fn new(store: Arc<dyn Store>, embedder: Arc<dyn Embedder>, config: EngineConfig) -> Self {
        Self {
            store,
            embedder,
            config,
            model_services: ModelServices::default(),
            locks: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// The same engine with a language model, and a place where requests wait for one that is away.
    #[must_use]
    pub fn with_model_services(self, model_services: ModelServices) -> Self {
        Self { model_services, ..self }
    }

    /// The language model, if there is one.
    pub fn language_model(&self) -> Option<&dyn ChatModel> {
        self.model_services.llm.as_deref()
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Serialises writers of this process that touch the same scopes. Other processes are kept apart by the scope
    /// versions in each change set.
    pub(crate) fn lock(&self, scopes: &[&Scope]) -> Vec<MutexGuard<'_, ()>> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        // In rising order: two writers with several scopes can't wait for each other.
        let stripes: BTreeSet<usize> =
            scopes.iter().map(|scope| hasher.hash_one(scope) as usize % self.locks.len()).collect();
        stripes.into_iter().map(|stripe| self.locks[stripe].lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// Builds a change set from what is stored and commits it; if another process wrote to the scope in between, again.
    pub(crate) fn commit<T>(&self, scopes: &[&Scope], mut build: impl FnMut() -> Result<(ChangeSet, T)>) -> Result<T> {
        let _serialised = self.lock(scopes);
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
}

/// How often a write is tried again because others were faster.
pub(crate) const MAX_CONFLICTS: usize = 1000;

/// Now, in mem0's notation: RFC 3339 in UTC with microseconds and a numeric offset.
pub(crate) fn now_text() -> String {
    time_text(Timestamp::now())
}

pub(crate) fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// Today in UTC: memories that expired before are hidden.
pub(crate) fn today() -> Date {
    Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date()
}
