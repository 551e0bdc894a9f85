//! The parts of the server that all handlers share.

use std::sync::Arc;
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusHandle;
use mnemon_engine::{Engine, Events};
use mnemon_store::{DocumentStore, StoreError};
use tokio::sync::Notify;

use super::accounts::Accounts;
use super::blocking::BlockingPool;
use super::probes::{Found, Probes};
use super::request_log::RequestLog;
use super::webhooks::Webhooks;
use crate::auth::{Keys, Limits};
use crate::config::Config;
use crate::error::Problem;

/// Calls that may wait for a model at the same time.
const MAX_MODEL_CALLS: usize = 32;

/// The server's parts, shared by all requests.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) documents: Arc<dyn DocumentStore>,
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) accounts: Accounts,
    pub(crate) admin_digest: Option<[u8; 32]>,
    pub(crate) limits: Limits,
    pub(crate) requests: RequestLog,
    pub(crate) events: Events,
    pub(crate) webhooks: Arc<Webhooks>,
    /// Wakes a worker when an extraction job was enqueued.
    pub(crate) job_enqueued: Notify,
    /// Wakes requests that wait for their job, whenever one was finished or cancelled.
    pub(crate) job_finished: Notify,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) started: Instant,
    /// `sqlite` or `qdrant`.
    pub(crate) store_kind: String,
    pub(crate) pool: BlockingPool,
    probes: Probes,
    /// For calls that wait for a model, so that they do not block searches.
    model_pool: BlockingPool,
}

/// The state of the router.
pub(crate) type AppState = Arc<App>;

impl App {
    pub(crate) fn new(
        engine: Arc<Engine>,
        documents: Arc<dyn DocumentStore>,
        config: Config,
        metrics: PrometheusHandle,
    ) -> Result<Self, StoreError> {
        let location = engine.store().info()?.location;
        Ok(Self {
            store_kind: location.split(':').next().unwrap_or_default().to_owned(),
            keys: Keys::new(documents.clone()),
            accounts: Accounts::new(documents.clone())?,
            admin_digest: config.admin_key.as_ref().map(|key| crate::auth::digest(key.expose())),
            limits: Limits::new(config.rate_limit),
            requests: RequestLog::new(documents.clone()),
            events: Events::new(documents.clone()),
            webhooks: Arc::new(Webhooks::new(documents.clone())),
            job_enqueued: Notify::new(),
            job_finished: Notify::new(),
            started: Instant::now(),
            pool: BlockingPool::new(config.workers),
            probes: Probes::default(),
            model_pool: BlockingPool::new(MAX_MODEL_CALLS),
            engine,
            documents,
            config,
            metrics,
        })
    }

    /// Runs blocking work in the pool for calls into the engine and the document store.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.pool.run(work).await
    }

    /// Runs blocking work that may wait for a language model.
    pub(crate) async fn blocking_on_model<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.model_pool.run(work).await
    }

    /// Checks that the store answers. Returns its warnings and the requests that wait for a model.
    pub(crate) async fn probe(&self) -> Result<Arc<Found>, Problem> {
        self.probes.look(&self.engine, self.config.describe_warning).await
    }

    /// Why a feature that needs a language model is refused: none is configured, or the feature is not implemented.
    pub(crate) fn llm_feature_error(&self, feature: &str) -> Problem {
        match self.engine.language_model() {
            None => Problem::no_language_model(feature),
            Some(_) => Problem::not_implemented(feature),
        }
    }

    /// Calls the engine.
    pub(crate) async fn with_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let engine = self.engine.clone();
        self.blocking(move || work(&engine)).await?
    }

    /// Calls the document store.
    pub(crate) async fn with_documents<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<dyn DocumentStore>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let documents = self.documents.clone();
        Ok(self.blocking(move || work(documents)).await??)
    }
}
