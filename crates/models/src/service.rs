//! Calls to a model behind HTTP: one client, retries with backoff, a deadline, and a circuit breaker.

mod address;
mod breaker;
mod doubt;
mod failure;
mod page;
mod privacy;
mod reason;
mod refusal;
mod retries;
mod words;

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Response, Url};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::error::{ModelError, ModelKind};
pub use address::is_base_url;
pub(crate) use address::{Address, Root, add_headers, clean_key, header_of_key, without_credentials};
pub(crate) use doubt::{Doubt, NoProbe, Probe, Verdict};
pub(crate) use failure::Failure;
pub(crate) use reason::message_of;
pub(crate) use refusal::Refusal;
use retries::Retries;
pub(crate) use retries::RetryPolicy;

/// Timeout for making a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of redirects of one request.
const MAX_REDIRECTS: usize = 3;
/// Maximum number of bytes that are read of an error response.
const MAX_REFUSAL: usize = 64 << 10;

/// A service that runs a model.
pub(crate) struct Service {
    kind: ModelKind,
    /// The base URL without credentials.
    pub(crate) server: String,
    address: Address,
    headers: HeaderMap,
    /// Keys that an error response may quote; they are redacted.
    secrets: Vec<String>,
    /// Created for the first request: reading the system's certificates takes longer than most commands.
    client: OnceLock<Client>,
    retries: Retries,
}

impl fmt::Debug for Service {
    /// Leaves out the base URL and the headers, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("kind", &self.kind).field("server", &self.server).finish_non_exhaustive()
    }
}

impl Service {
    /// A service at an address.
    pub(crate) fn new(kind: ModelKind, address: Address, headers: HeaderMap, policy: RetryPolicy) -> Self {
        let secret =
            |value: &HeaderValue| value.to_str().ok().map(|text| text.trim_start_matches("Bearer ").to_owned());
        let secrets = headers.values().filter(|value| value.is_sensitive()).filter_map(secret);
        let secrets = secrets.chain(address.query_values()).filter(|secret| secret.len() > 3).collect();
        let (server, client) = (address.server.clone(), OnceLock::new());
        Self { kind, server, address, headers, secrets, client, retries: Retries::new(policy) }
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // The client uses the process-wide crypto provider; ring is installed if the program has not installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            .redirect(Policy::custom(redirect))
            .connect_timeout(CONNECT_TIMEOUT.min(self.retries.policy.timeout))
            .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")));
        if self.address.base.scheme() == "http" {
            // The system may have no certificates.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            Failure::Configuration(ModelError::Client { kind: self.kind, reason: root_cause(&error) })
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Posts JSON to a path below the base URL and returns the body of the answer, at most `max_bytes` of it.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        max_bytes: usize,
        probe: &impl Probe,
    ) -> Result<Vec<u8>, Failure> {
        self.retries.run(probe, async |timeout| self.attempt(path, body, max_bytes, timeout).await).await
    }

    /// The same in one attempt.
    pub(crate) async fn post_once(
        &self,
        path: &str,
        body: &impl Serialize,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        self.retries.once(async |timeout| self.attempt(path, body, max_bytes, timeout).await).await
    }

    /// Posts JSON and returns the answer as soon as its headers have arrived, for the caller to stream the body.
    pub(crate) async fn open(
        &self,
        path: &str,
        body: &impl Serialize,
        probe: &impl Probe,
    ) -> Result<Response, Failure> {
        self.retries.run(probe, async |timeout| self.send(path, body, timeout, false).await).await
    }

    /// One attempt. An error with a successful status is a failure.
    async fn attempt(
        &self,
        path: &str,
        body: &impl Serialize,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let mut response = self.send(path, body, timeout, true).await?;
        let answer = read(&mut response, max_bytes).await.map_err(|error| transport_failure(&error, timeout))?;
        match self.failure_in(&answer, body) {
            Some(failure) => Err(failure),
            None => Ok(answer),
        }
    }

    /// Sends one request; returns only successful responses. The timeout is for the whole response, or for its headers.
    ///
    /// If the service does not know the route, the other places are tried where it may have it.
    async fn send(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
        whole: bool,
    ) -> Result<Response, Failure> {
        let mut unknown = None;
        for (at, url) in self.address.urls(path) {
            match self.send_to(url, body, timeout, whole).await {
                Err(failure @ Failure::Refused { status: 404, .. }) => unknown = unknown.or(Some(failure)),
                Ok(response) => {
                    self.address.found(at);
                    return Ok(response);
                }
                failure => return failure,
            }
        }
        match unknown {
            Some(failure) => Err(failure),
            None => unreachable!("each route has a URL"),
        }
    }

    async fn send_to(
        &self,
        url: Url,
        body: &impl Serialize,
        timeout: Duration,
        whole: bool,
    ) -> Result<Response, Failure> {
        let mut request = self.client()?.post(url).json(body);
        if whole {
            request = request.timeout(timeout);
        }
        let Ok(sent) = tokio::time::timeout(timeout, request.send()).await else {
            return Err(Failure::Unavailable {
                reason: timeout_reason(timeout),
                wait: None,
                status: 0,
                in_doubt: true,
            });
        };
        let mut response = sent.map_err(|error| transport_failure(&error, timeout))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = retry_after(&response);
        let text = read(&mut response, MAX_REFUSAL).await.map_err(|error| transport_failure(&error, timeout))?;
        Err(self.failure(status.as_u16(), Refusal::parse(&text), wait, body))
    }

    /// The failure that the body of a successful response describes.
    pub(crate) fn failure_in(&self, answer: &[u8], sent: &impl Serialize) -> Option<Failure> {
        let is_short = answer.len() <= MAX_REFUSAL;
        let (status, refusal) = is_short.then(|| Refusal::in_success(answer)).flatten()?;
        Some(self.failure(status, refusal, None, sent))
    }

    /// The failure of an error response with this status, to a request with this body.
    fn failure(&self, status: u16, mut refusal: Refusal, wait: Option<Duration>, sent: &impl Serialize) -> Failure {
        refusal.message = self.cleaned(&refusal.message, sent);
        let may_recover = matches!(status, 408 | 425 | 429) || (500..600).contains(&status);
        if may_recover && !refusal.is_about_the_request(status) && !refusal.is_about_quota() {
            let described = refusal.describe(status);
            let reason = match wait {
                Some(wait) => format!("{described} (retry after {} s)", wait.as_secs()),
                None => described,
            };
            let in_doubt = (500..600).contains(&status) && wait.is_none();
            return Failure::Unavailable { reason, wait, status, in_doubt };
        }
        Failure::Refused { status, refusal, verdict: None }
    }

    /// A service's text without keys and quotations of the request.
    pub(crate) fn cleaned(&self, text: &str, sent: &impl Serialize) -> String {
        let text = privacy::without_keys(&self.without_secrets(text));
        match serde_json::to_value(sent) {
            Ok(sent) => privacy::without_quotes(&text, &privacy::texts_of(&sent)),
            Err(_) => text,
        }
    }

    fn without_secrets(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }

    /// The error of a service that is not available.
    pub(crate) fn unavailable(&self, reason: String, wait: Option<Duration>) -> ModelError {
        ModelError::Unavailable { kind: self.kind, server: self.server.clone(), reason, wait }
    }

    /// The error of a service that rejects a request.
    pub(crate) fn refused(&self, status: u16, refusal: &Refusal, model: &str, has_key: bool) -> ModelError {
        ModelError::Refused {
            kind: self.kind,
            server: self.server.clone(),
            model: model.to_owned(),
            reason: refusal.describe(status),
            cause: refusal.cause(status, has_key),
        }
    }

    /// The error of an answer that can't be read.
    pub(crate) fn unreadable_answer(&self, answer: impl Into<String>) -> ModelError {
        let answer = privacy::without_keys(&self.without_secrets(&answer.into()));
        ModelError::Answer { kind: self.kind, server: self.server.clone(), answer, is_empty: false }
    }

    /// The error of an answer without a text.
    pub(crate) fn empty_answer(&self, answer: &str) -> ModelError {
        ModelError::Answer { kind: self.kind, server: self.server.clone(), answer: answer.to_owned(), is_empty: true }
    }
}

/// A runtime with one thread, for the requests of a client whose callers block.
pub(crate) fn runtime(kind: ModelKind) -> Result<Runtime, ModelError> {
    tokio::runtime::Builder::new_multi_thread()
        // One thread is enough: it only moves bytes, and the callers parse them.
        .worker_threads(1)
        .thread_name(kind.as_str())
        .enable_all()
        .build()
        .map_err(|error| ModelError::Client { kind, reason: error.to_string() })
}

/// Reads the body, at most `max_bytes` of it.
async fn read(response: &mut Response, max_bytes: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = max_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == max_bytes {
            break;
        }
    }
    Ok(body)
}

/// Follows redirects that keep the request as it is, on the same host: to https, or to a path with or without a slash at its
/// end. Another one would turn a POST into a GET, or send the key elsewhere; the response says so.
fn redirect(attempt: Attempt<'_>) -> Action {
    let is_kept = matches!(attempt.status().as_u16(), 307 | 308);
    let first = attempt.previous().first().and_then(Url::host_str);
    let is_same_host = first.is_some() && first == attempt.url().host_str();
    let is_encrypted = attempt.url().scheme() == "https" || attempt.previous().iter().all(|url| url.scheme() == "http");
    if is_kept && is_same_host && is_encrypted && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The header `Retry-After`: seconds, or a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// The failure of a request without a response. The reason leaves out the URL, which may contain a password.
fn transport_failure(error: &reqwest::Error, timeout: Duration) -> Failure {
    let cause = root_cause(error);
    let known = ["Connection refused", "Connection reset", "Name or service not known"];
    let reason = match known.iter().find(|known| cause.contains(**known)) {
        _ if error.is_timeout() && !error.is_connect() => timeout_reason(timeout),
        Some(known) => known.to_lowercase(),
        None => cause,
    };
    // A service that was reached may have failed because of the request.
    let in_doubt = !error.is_connect();
    Failure::Unavailable { reason, wait: None, status: 0, in_doubt }
}

fn timeout_reason(timeout: Duration) -> String {
    format!("no answer within {:.1} s", timeout.as_secs_f64())
}

/// The message of the innermost error, which is the most specific one.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
