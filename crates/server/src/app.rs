//! What every handler shares.

use std::sync::Arc;
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusHandle;
use mnemon_engine::Engine;
use mnemon_store::{Ledger, MemoryId, StoreError};
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::auth::{Keys, Limits};
use crate::config::Config;
use crate::error::Problem;
use crate::observe::{request_id, with_request_id};
use crate::request_log::RequestLog;
use crate::webhooks::Webhooks;

/// The server's parts, shared by all requests.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) accounts: Accounts,
    pub(crate) admin_digest: Option<[u8; 32]>,
    pub(crate) limits: Limits,
    pub(crate) requests: RequestLog,
    pub(crate) webhooks: Webhooks,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) started: Instant,
    /// `sqlite`, ….
    pub(crate) store_kind: String,
    work: Arc<Semaphore>,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(
        engine: Arc<Engine>,
        ledger: Arc<dyn Ledger>,
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
            started: Instant::now(),
            work: Arc::new(Semaphore::new(config.workers)),
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
        let turn = self.work.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
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

    /// Whether the store answers, asked for a memory that need not be there, and what it can't do as it is. Asked beside the others' turn, so that a probe is answered
    /// however busy they are.
    pub(crate) async fn probe(&self) -> Result<Vec<String>, Problem> {
        let engine = self.engine.clone();
        let asked = tokio::task::spawn_blocking(move || {
            engine.store().get(&[MemoryId::Number(0)]).map(|_| engine.store().warnings())
        });
        Ok(asked.await.map_err(|_| Problem::internal())??)
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
        work: impl FnOnce(&dyn Ledger) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let ledger = self.ledger.clone();
        Ok(self.blocking(move || work(&*ledger)).await??)
    }
}
