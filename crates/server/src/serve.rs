//! Serving: accept connections, answer their requests, and stop without dropping any.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use mnemon_engine::Engine;
use mnemon_store::{DocumentStore, StoreError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::app::{App, Shared};
use crate::config::Config;
use crate::observe::recorder;
use crate::router::router;

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken, or not this machine's.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The metrics could not be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// A server that listens and has not answered yet.
pub struct Server {
    app: Shared,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// [`ServeError::Listen`]; [`ServeError::Store`] if the ledger can't be read.
    pub async fn bind(
        address: SocketAddr,
        engine: Arc<Engine>,
        ledger: Arc<dyn DocumentStore>,
        config: Config,
    ) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        // Stores block, and those that ask a server may not do so here.
        let app = tokio::task::spawn_blocking(move || app(engine, ledger, config)).await;
        let app = app.map_err(|lost| listen(std::io::Error::other(lost)))??;
        Ok(Self { app, listener, address: bound })
    }

    /// Where it listens; tells the port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then finishes what was accepted, within the configured grace.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { app, listener, .. } = self;
        let service = router(app.clone());
        // HTTP/1 alone: its deadline for headers begins with the connection, so one that says nothing is closed as well.
        let mut connection = Builder::new();
        connection.timer(TokioTimer::new()).header_read_timeout(app.config.header_timeout);
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(app.config.max_connections));
        let chores = tokio::spawn(chores(app.clone()));
        let deliveries = tokio::spawn(crate::webhooks::deliver(app.clone()));
        let learning = tokio::spawn(crate::learning::run_due_job(app.clone()));
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &room) => accepted,
                () = &mut stop => break,
            };
            let Some((stream, from, place)) = accepted else { continue };
            let _ = stream.set_nodelay(true);
            let service = service.clone();
            let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
                let mut request: Request = request.map(axum::body::Body::new);
                request.extensions_mut().insert(from);
                if let Some(uri) = without_slash(request.uri()) {
                    *request.uri_mut() = uri;
                    request.extensions_mut().insert(EndedInSlash);
                }
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.oneshot(request).await.unwrap_or_else(|never| match never {})) }
            });
            let served = connection.serve_connection(TokioIo::new(stream), answer);
            let served = graceful.watch(served);
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    tracing::debug!(%from, error = %error, "connection ended");
                }
                drop(place);
            });
        }
        // No new connections from here; those that are open finish their request and close.
        drop(listener);
        tracing::info!("stopping: finishing what was accepted");
        if tokio::time::timeout(app.config.shutdown_grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(grace = ?app.config.shutdown_grace, "some requests took too long and were cut off");
        }
        chores.abort();
        deliveries.abort();
        learning.abort();
        let flushed = app.blocking({
            let app = app.clone();
            move || app.requests.flush(&*app.ledger)
        });
        match tokio::time::timeout(Duration::from_secs(1), flushed).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("the last requests were not logged"),
        }
    }
}

/// Says of a request that its path came with a slash at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedInSlash;

/// The routes alone, for whoever brings a listener of their own. Paths must come without a slash at the end; nothing is
/// done beside answering: deliveries of webhooks and the log of requests wait for a [`Server`] on the same ledger.
///
/// # Errors
/// As [`Server::bind`], but for the address.
pub fn service(
    engine: Arc<Engine>,
    ledger: Arc<dyn DocumentStore>,
    config: Config,
) -> Result<axum::Router, ServeError> {
    Ok(router(app(engine, ledger, config)?))
}

fn app(engine: Arc<Engine>, ledger: Arc<dyn DocumentStore>, config: Config) -> Result<Shared, ServeError> {
    let recorder = recorder()?;
    let metrics = recorder.handle();
    // A second server in one process, as tests have it, leaves the metrics to the first.
    let _ = metrics::set_global_recorder(recorder);
    Ok(Arc::new(App::new(engine, ledger, config, metrics)?))
}

/// The same without the slash at its end, which means nothing but at the page under /docs/. One slash only: an empty id
/// (`/memories//`) is not the collection.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !path.starts_with("/docs"))?;
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    format!("{path}{query}").parse().ok()
}

/// The next connection, once there is room for one more.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, from, place)),
        Err(error) => {
            // Out of file handles, most likely: a pause lets connections end.
            tracing::warn!(%error, "could not accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// What is done once a second beside answering.
async fn chores(app: Shared) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        app.limits.tidy();
        // Folds the samples since into the histograms: they would pile up where nobody asks for /metrics.
        app.metrics.run_upkeep();
        let flush = {
            let app = app.clone();
            app.clone().blocking(move || app.requests.flush(&*app.ledger)).await
        };
        if let Ok(Err(error)) = flush {
            tracing::warn!(%error, "the log of requests could not be written");
        }
    }
}
