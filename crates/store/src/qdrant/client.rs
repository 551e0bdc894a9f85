//! Requests to Qdrant from blocking code: deadlines, another try where nobody answered, and errors in our words.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qdrant_client::config::QdrantConfig;
use qdrant_client::{Qdrant, QdrantError};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::{Result, StoreError};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// Before the second try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(60);

/// One or several nodes that hold the same collections.
pub(super) struct Client {
    nodes: Vec<(String, Qdrant)>,
    /// The node that answered last.
    current: AtomicUsize,
    retries: u32,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Client {
    pub(super) fn new(urls: &[String], api_key: Option<&str>, timeout: Duration, retries: u32) -> Result<Self> {
        // Uses ring's if the program has chosen none: the client takes whichever is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // It passes bytes on; who waits for an answer reads it.
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
            config.connect_timeout = CONNECT;
            config.api_key = api_key.map(str::to_owned);
            // Asked for when the store is opened, in our own words.
            config.check_compatibility = false;
            let node = Qdrant::new(config)
                .map_err(|error| StoreError::Unfit(format!("`{url}` is no address of Qdrant's gRPC port: {error}")))?;
            nodes.push((url.clone(), node));
        }
        drop(guard);
        if nodes.is_empty() {
            return Err(StoreError::Unfit("no address of a Qdrant server was given".into()));
        }
        Ok(Self { nodes, current: AtomicUsize::new(0), retries, runtime: Some(runtime) })
    }

    /// Where it is.
    pub(super) fn location(&self) -> String {
        self.nodes.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Runs futures to their end.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        match &self.runtime {
            Some(runtime) => runtime.block_on(future),
            None => unreachable!("the runtime is there until the client is dropped"),
        }
    }

    /// Has a future run on the client's own threads.
    pub(super) fn start<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(future),
            None => unreachable!("the runtime is there until the client is dropped"),
        }
    }

    /// Has work that blocks run on a thread of its own.
    pub(super) fn start_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn_blocking(work),
            None => unreachable!("the runtime is there until the client is dropped"),
        }
    }

    /// Waits for the end of what was started.
    pub(super) fn finish<T>(&self, started: JoinHandle<Result<T>>) -> Result<T> {
        self.wait(started).map_err(|error| StoreError::Database(error.into()))?
    }

    /// Sends a request that may be sent twice without harm; to another node, and again, if there is no answer.
    pub(super) async fn send<'c, T, F>(&'c self, op: &'static str, request: impl Fn(&'c Qdrant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let begun = Instant::now();
        let mut pause = BACKOFF;
        let mut tries = 0;
        loop {
            let at = self.current.load(Ordering::Relaxed) % self.nodes.len();
            let (url, node) = &self.nodes[at];
            match request(node).await {
                Ok(answer) => {
                    metrics::histogram!("mnemon_qdrant_seconds", "op" => op).record(begun.elapsed());
                    return Ok(answer);
                }
                Err(error) => {
                    let hung = is_timeout(&error);
                    let error = translate(url, error);
                    let others = self.nodes.len() as u32 - 1;
                    // Who waited as long as may be waits no second time for the same node.
                    let most = if hung { others } else { self.retries.max(others) };
                    if !matches!(error, StoreError::Unavailable { .. }) || tries >= most {
                        metrics::counter!("mnemon_qdrant_failures_total", "op" => op).increment(1);
                        return Err(error);
                    }
                    tries += 1;
                    // Another request may have found a node that answers meanwhile.
                    let next = (at + 1) % self.nodes.len();
                    let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }

    /// [`Client::send`], and waits for the answer.
    pub(super) fn call<'c, T, F>(&'c self, op: &'static str, request: impl Fn(&'c Qdrant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.wait(self.send(op, request))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Where a store is dropped, waiting may not be allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn is_timeout(error: &QdrantError) -> bool {
    let QdrantError::ResponseError { status } = error else { return false };
    // Codes of gRPC; the type is not exported by the client.
    matches!(format!("{:?}", status.code()).as_str(), "Cancelled" | "DeadlineExceeded")
}

/// gRPC's words in ours.
fn translate(url: &str, error: QdrantError) -> StoreError {
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
        "Unauthenticated" | "PermissionDenied" => StoreError::Unfit(format!(
            "{} refuses the API key ({message}): set QDRANT_API_KEY to one it knows",
            server()
        )),
        // Timeouts and lost replicas inside a cluster are reported as internal errors too.
        "Internal" if is_passing(&message) => StoreError::Unavailable { server: server(), reason: message },
        "Internal" if message.contains("No space left") || message.contains("disk") => StoreError::Full,
        _ => StoreError::Database(format!("{} answered {code:?}: {message}", server()).into()),
    }
}

/// What a transport's error says, without the names of its types.
fn plain(message: &str) -> String {
    for known in ["Connection refused", "Name or service not known", "Connection reset"] {
        if message.contains(known) {
            return known.to_lowercase();
        }
    }
    message.split(": tonic::").next().unwrap_or(message).to_owned()
}

fn is_passing(message: &str) -> bool {
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
