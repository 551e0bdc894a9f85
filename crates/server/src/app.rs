//! What every handler shares.

use std::sync::Arc;
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusHandle;
use mnemon_engine::{Engine, EngineError, PendingJobs};
use mnemon_store::{DocumentStore, MemoryId, StoreError};
use tokio::sync::{Notify, Semaphore};

use crate::accounts::Accounts;
use crate::auth::{Keys, Limits};
use crate::config::Config;
use crate::error::Problem;
use crate::observe::{request_id, with_request_id};
use crate::request_log::RequestLog;
use crate::webhooks::Webhooks;

/// Calls at once that wait for a model.
const THINKING: usize = 32;

/// The server's parts, shared by all requests.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<dyn DocumentStore>,
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) accounts: Accounts,
    pub(crate) admin_digest: Option<[u8; 32]>,
    pub(crate) limits: Limits,
    pub(crate) requests: RequestLog,
    pub(crate) webhooks: Webhooks,
    /// Called when there is something to learn from.
    pub(crate) learning: Notify,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) started: Instant,
    /// `sqlite`, ….
    pub(crate) store_kind: String,
    work: Arc<Semaphore>,
    /// For what waits for a model: it must not keep searches waiting.
    thinking: Arc<Semaphore>,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(
        engine: Arc<Engine>,
        ledger: Arc<dyn DocumentStore>,
        config: Config,
        metrics: PrometheusHandle,
    ) -> Result<Self, StoreError> {
        let location = engine.store().info()?.location;
        Ok(Self {
            store_kind: location.split(':').next().unwrap_or_default().to_owned(),
            keys: Keys::new(ledger.clone()),
            accounts: Accounts::new(ledger.clone())?,
            admin_digest: config.admin_key.as_ref().map(|key| crate::auth::digest(key.expose())),
            limits: Limits::new(config.rate_limit),
            requests: RequestLog::default(),
            webhooks: Webhooks::new(ledger.clone()),
            learning: Notify::new(),
            started: Instant::now(),
            work: Arc::new(Semaphore::new(config.workers)),
            thinking: Arc::new(Semaphore::new(THINKING)),
            engine,
            ledger,
            config,
            metrics,
        })
    }

    /// Runs what blocks away from the threads that serve connections; so many at once, the others wait their turn.
    /// What was begun is finished, even if the caller goes away.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        Self::in_turn(&self.work, work).await
    }

    /// The same for what may wait for a language model for a while.
    pub(crate) async fn thinking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        Self::in_turn(&self.thinking, work).await
    }

    async fn in_turn<T: Send + 'static>(
        room: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = room.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
        let request = request_id();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            with_request_id(request, work)
        });
        task.await.map_err(|error| {
            tracing::error!(%error, "a worker panicked");
            Problem::internal()
        })
    }

    /// Whether the store answers, asked for a memory that need not be there, what it can't do as it is, and how many
    /// requests wait for a model. Asked beside the others' turn, so that a probe is answered however busy they are.
    pub(crate) async fn probe(&self) -> Result<(Vec<String>, PendingJobs), Problem> {
        let engine = self.engine.clone();
        let asked = tokio::task::spawn_blocking(move || {
            engine.store().get(&[MemoryId::Number(0)])?;
            Ok::<_, EngineError>((engine.store().warnings(), engine.pending_jobs()?))
        });
        Ok(asked.await.map_err(|_| Problem::internal())??)
    }

    /// Why a model does not do what it could: there is none, or it is not asked to yet.
    pub(crate) fn not_asked(&self, what: &str) -> Problem {
        match self.engine.language_model() {
            None => Problem::no_llm(what),
            Some(_) => Problem::not_yet(what),
        }
    }

    /// Calls the engine.
    pub(crate) async fn engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let engine = self.engine.clone();
        self.blocking(move || work(&engine)).await?
    }

    /// Calls the ledger.
    pub(crate) async fn ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn DocumentStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let ledger = self.ledger.clone();
        Ok(self.blocking(move || work(&*ledger)).await??)
    }
}
