//! Puts the parts together: the service over an engine, the routes on top of it, and the tasks that run beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mnemon_engine::Engine;
use mnemon_store::{DocumentStore, StoreError};
use tokio::net::TcpListener;

use crate::api::routes;
use crate::config::Config;
use crate::http::{recorder, router, serve};
use crate::service::{App, AppState, run_deliveries, run_jobs};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is in use, or does not belong to this machine.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The store or the document store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// A server that listens but does not answer yet.
pub struct Server {
    app: AppState,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on the address. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// [`ServeError::Listen`]; [`ServeError::Store`] if the document store can't be read.
    pub async fn bind(
        address: SocketAddr,
        engine: Arc<Engine>,
        documents: Arc<dyn DocumentStore>,
        config: Config,
    ) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        // Stores block, and some of them must not block on a thread of the runtime.
        let app = tokio::task::spawn_blocking(move || app(engine, documents, config)).await;
        let app = app.map_err(|panic| listen(std::io::Error::other(panic)))??;
        Ok(Self { app, listener, address: bound })
    }

    /// The address it listens on, with the actual port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes, then finishes the accepted requests within the configured grace period.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { app, listener, .. } = self;
        let tasks = [
            tokio::spawn(housekeeping(app.clone())),
            tokio::spawn(run_deliveries(app.webhooks.clone(), app.pool.clone())),
            tokio::spawn(run_jobs(app.clone())),
            tokio::spawn(reindex(app.clone())),
        ];
        serve(listener, router(app.clone(), routes()), &app.config, stop).await;
        for task in tasks {
            task.abort();
        }
        let flushed = app.blocking({
            let app = app.clone();
            move || app.requests.flush()
        });
        match tokio::time::timeout(Duration::from_secs(1), flushed).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("could not save the last entries of the request log"),
        }
    }
}

/// The routes alone, for callers that have their own listener. Paths must have no slash at the end. Webhook deliveries,
/// queued jobs and the request log need a running [`Server`] on the same document store.
///
/// # Errors
/// As [`Server::bind`], except for the address.
pub fn service(
    engine: Arc<Engine>,
    documents: Arc<dyn DocumentStore>,
    config: Config,
) -> Result<axum::Router, ServeError> {
    Ok(router(app(engine, documents, config)?, routes()))
}

fn app(engine: Arc<Engine>, documents: Arc<dyn DocumentStore>, config: Config) -> Result<AppState, ServeError> {
    let recorder = recorder()?;
    let metrics = recorder.handle();
    // A second server in the same process (in tests) leaves the metrics to the first.
    let _ = metrics::set_global_recorder(recorder);
    Ok(Arc::new(App::new(engine, documents, config, metrics)?))
}

/// Makes the terms that an older version stored again, with a pause after each batch, so that requests come first.
async fn reindex(app: AppState) {
    loop {
        let batch = app.blocking({
            let app = app.clone();
            move || app.engine.reindex_batch()
        });
        let pause = match batch.await {
            Ok(Ok(true)) => Duration::from_millis(100),
            Ok(Ok(false)) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not index memories of an older version; it is tried again");
                Duration::from_secs(60)
            }
            Err(_) => Duration::from_secs(1),
        };
        tokio::time::sleep(pause).await;
    }
}

/// Once a second: frees memory of rate limits and metrics, and saves the request log.
async fn housekeeping(app: AppState) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut failing = false;
    loop {
        tick.tick().await;
        app.limits.remove_idle();
        // Moves new samples into the histograms. Without this they pile up as long as nothing reads /metrics.
        app.metrics.run_upkeep();
        let flush = {
            let app = app.clone();
            app.clone().blocking(move || app.requests.flush()).await
        };
        let failed = matches!(flush, Ok(Err(_)));
        if let Ok(Err(error)) = flush
            && !failing
        {
            tracing::warn!(%error, "could not save the request log; trying again without further messages");
        }
        failing = failed;
    }
}
