//! Requests to Qdrant from blocking code: timeouts, retries, and the conversion of errors.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qdrant_client::config::QdrantConfig;
use qdrant_client::{Qdrant, QdrantError};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::{Result, StoreError};

/// Timeout for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before the first retry. It is doubled for each further retry.
const BACKOFF: Duration = Duration::from_millis(60);

/// One or several nodes with the same collections.
pub(super) struct Client {
    nodes: Vec<(String, Qdrant)>,
    /// The index of the node that answered last.
    current: AtomicUsize,
    retries: u32,
    /// `None` only while the client is dropped.
    runtime: Option<Runtime>,
}

impl Client {
    pub(super) fn new(urls: &[String], api_key: Option<&str>, timeout: Duration, retries: u32) -> Result<Self> {
        // The client uses the installed crypto provider. If the program has not installed one, it is ring's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // It only transfers bytes; the waiting thread decodes the response.
            .worker_threads(1)
            .thread_name("qdrant")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Io { path: "qdrant".into(), source })?;
        let guard = runtime.enter();
        let mut nodes = Vec::with_capacity(urls.len());
        for url in urls {
            let mut config = QdrantConfig::from_url(url);
            config.timeout = timeout;
            config.connect_timeout = CONNECT_TIMEOUT;
            config.api_key = api_key.map(str::to_owned);
            // The version is checked when the store is opened.
            config.check_compatibility = false;
            let node = Qdrant::new(config).map_err(|error| {
                StoreError::Misconfigured(format!("`{url}` is not an address of Qdrant's gRPC port: {error}"))
            })?;
            nodes.push((url.clone(), node));
        }
        drop(guard);
        if nodes.is_empty() {
            return Err(StoreError::Misconfigured("no address of a Qdrant server was given".into()));
        }
        Ok(Self { nodes, current: AtomicUsize::new(0), retries, runtime: Some(runtime) })
    }

    /// The addresses of the nodes.
    pub(super) fn location(&self) -> String {
        self.nodes.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Runs a future and waits for its result.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => unreachable!("the runtime exists until the client is dropped"),
        }
    }

    /// Runs a future on the threads of the client.
    pub(super) fn start<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(future),
            None => unreachable!("the runtime exists until the client is dropped"),
        }
    }

    /// Runs blocking work on a separate thread.
    pub(super) fn start_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn_blocking(work),
            None => unreachable!("the runtime exists until the client is dropped"),
        }
    }

    /// Waits for the result of started work.
    pub(super) fn finish<T>(&self, started: JoinHandle<Result<T>>) -> Result<T> {
        self.wait(started).map_err(|error| StoreError::Database(error.into()))?
    }

    /// Sends an idempotent request. If there is no answer, it is sent to another node, and retried.
    pub(super) async fn send<'c, T, F>(&'c self, op: &'static str, request: impl Fn(&'c Qdrant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let started = Instant::now();
        let mut pause = BACKOFF;
        let mut retries = 0;
        loop {
            let at = self.current.load(Ordering::Relaxed) % self.nodes.len();
            let (url, node) = &self.nodes[at];
            match request(node).await {
                Ok(answer) => {
                    metrics::histogram!("mnemon_qdrant_seconds", "op" => op).record(started.elapsed());
                    return Ok(answer);
                }
                Err(error) => {
                    let timed_out = is_timeout(&error);
                    let error = store_error(url, error);
                    let other_nodes = self.nodes.len() as u32 - 1;
                    // After a timeout the request is not sent to the same node again.
                    let max_retries = if timed_out { other_nodes } else { self.retries.max(other_nodes) };
                    if !matches!(error, StoreError::Unavailable { .. }) || retries >= max_retries {
                        metrics::counter!("mnemon_qdrant_failures_total", "op" => op).increment(1);
                        return Err(error);
                    }
                    retries += 1;
                    // Another request may have found a node that answers.
                    let next = (at + 1) % self.nodes.len();
                    let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }

    /// Same as [`Client::send`], and waits for the response.
    pub(super) fn call<'c, T, F>(&'c self, op: &'static str, request: impl Fn(&'c Qdrant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.wait(self.send(op, request))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A store may be dropped where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn is_timeout(error: &QdrantError) -> bool {
    let QdrantError::ResponseError { status } = error else { return false };
    // The codes of gRPC. The client does not export their type.
    matches!(format!("{:?}", status.code()).as_str(), "Cancelled" | "DeadlineExceeded")
}

/// Converts an error of the client.
fn store_error(url: &str, error: QdrantError) -> StoreError {
    let server = || format!("Qdrant at {url}");
    let (code, message) = match &error {
        QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => {
            (status.code(), plain(status.message()))
        }
        _ => return StoreError::Unavailable { server: server(), reason: error.to_string() },
    };
    match format!("{code:?}").as_str() {
        "Unavailable" | "DeadlineExceeded" | "Cancelled" | "Unknown" | "Aborted" | "ResourceExhausted" => {
            StoreError::Unavailable { server: server(), reason: message }
        }
        "Unauthenticated" | "PermissionDenied" => StoreError::Misconfigured(format!(
            "{} refuses the API key ({message}): set QDRANT_API_KEY to a valid key",
            server()
        )),
        // Timeouts and lost replicas inside a cluster are reported as internal errors too.
        "Internal" if is_temporary(&message) => StoreError::Unavailable { server: server(), reason: message },
        "Internal" if message.contains("No space left") || message.contains("disk") => StoreError::Full,
        _ => StoreError::Database(format!("{} answered {code:?}: {message}", server()).into()),
    }
}

/// The message of a transport error, without the names of types.
fn plain(message: &str) -> String {
    for known in ["Connection refused", "Name or service not known", "Connection reset"] {
        if message.contains(known) {
            return known.to_lowercase();
        }
    }
    message.split(": tonic::").next().unwrap_or(message).to_owned()
}

fn is_temporary(message: &str) -> bool {
    let message = message.to_lowercase();
    let words = [
        "timeout",
        "timed out",
        "transport",
        "unavailable",
        "connect",
        "name or service",
        "not enough",
        "consensus",
        "cancelled",
        "peer",
    ];
    words.iter().any(|word| message.contains(word))
}
