//! What calls to a model behind HTTP have in common: one client, tries with pauses between them, a deadline, a circuit breaker.

mod breaker;
mod refusal;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::error::{ModelError, ModelKind};
use breaker::Breaker;
pub(crate) use refusal::Refusal;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Before the second try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// A service that is left alone for no longer than this is waited for.
const WORTH_WAITING: Duration = Duration::from_secs(2);
/// A refusal is read up to here, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

/// How long to wait for a service, and how often to come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Of one try.
    pub(crate) timeout: Duration,
    /// Of all tries and the pauses between them.
    pub(crate) deadline: Duration,
    /// Tries after the first, where nobody answers or the answer is 408, 425, 429 or 5xx.
    pub(crate) retries: u32,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// Another try may help, after as long as the service asks for.
    Passing { reason: String, wait: Option<Duration> },
    /// The service refuses, with a status that no second try mends.
    Refused { status: u16, refusal: Refusal },
    /// Nothing was asked: the configuration can't work.
    Final(ModelError),
}

/// A service, and how to ask it.
pub(crate) struct Service {
    kind: ModelKind,
    /// The base URL without what is nobody's business.
    pub(crate) server: String,
    base: Url,
    headers: HeaderMap,
    /// What a refusal may quote and nobody may read.
    secrets: Vec<String>,
    /// Made for the first request: reading the system's certificates takes longer than most commands.
    client: OnceLock<Client>,
    patience: Patience,
    breaker: Breaker,
}

impl fmt::Debug for Service {
    /// Without the base URL and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("kind", &self.kind).field("server", &self.server).finish_non_exhaustive()
    }
}

impl Service {
    /// A service below `base_url`, which callers know as the setting `setting`. `ends`: endings of addresses that people
    /// paste whole, to be cut off.
    pub(crate) fn new(
        kind: ModelKind,
        setting: &str,
        base_url: &str,
        ends: &[&str],
        headers: HeaderMap,
        patience: Patience,
    ) -> Result<Self, ModelError> {
        let server = place(base_url);
        let mut base = base_url.trim().trim_end_matches('/');
        for end in ends {
            base = base.strip_suffix(end).unwrap_or(base);
        }
        let base = Url::parse(base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                ModelError::Settings(format!(
                    "{setting} is `{server}`: give the base URL of a service, such as https://api.openai.com/v1"
                ))
            })?;
        let secret =
            |value: &HeaderValue| value.to_str().ok().map(|text| text.trim_start_matches("Bearer ").to_owned());
        let secrets = headers.values().filter(|value| value.is_sensitive()).filter_map(secret);
        let secrets = secrets.filter(|secret| secret.len() > 3).collect();
        Ok(Self {
            kind,
            server,
            base,
            headers,
            secrets,
            client: OnceLock::new(),
            patience,
            breaker: Breaker::default(),
        })
    }

    fn client(&self) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Uses ring's if the program has chosen none: the client takes whichever is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            // A redirected POST arrives as a GET.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(self.patience.timeout))
            .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")));
        if self.base.scheme() == "http" {
            // The system's certificates may not be there.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            let kind = self.kind;
            let message = format!("the HTTP client of the {kind} can't be made: {}", innermost(&error));
            Failure::Final(ModelError::Settings(message))
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Posts JSON below the base URL and returns the body of the answer, up to `most` bytes.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize, most: usize) -> Result<Vec<u8>, Failure> {
        self.patiently(async |timeout| {
            let mut response = self.send(path, body, timeout, true).await?;
            read(&mut response, most).await.map_err(|error| lost(&error, timeout))
        })
        .await
    }

    /// Posts JSON and returns the answer once its head is there; the body is for the caller to read as it comes.
    pub(crate) async fn open(&self, path: &str, body: &impl Serialize) -> Result<Response, Failure> {
        self.patiently(async |timeout| self.send(path, body, timeout, false).await).await
    }

    /// Tries, and again where that may help.
    async fn patiently<T>(&self, attempt: impl AsyncFn(Duration) -> Result<T, Failure>) -> Result<T, Failure> {
        let end = Instant::now() + self.patience.deadline;
        let mut pause = BACKOFF;
        let mut tries = 0;
        loop {
            if let Err(open) = self.breaker.may_ask() {
                if open.wait > WORTH_WAITING || Instant::now() + open.wait >= end {
                    return Err(Failure::Passing { reason: open.reason, wait: Some(open.wait) });
                }
                tokio::time::sleep(open.wait.mul_f64(1.0 + jitter())).await;
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            let done = attempt(left.min(self.patience.timeout)).await;
            let Err(Failure::Passing { reason, wait: asked }) = done else {
                self.breaker.answered();
                return done;
            };
            self.breaker.failed(&reason);
            // Those that were refused together must not come back together.
            let wait = asked.unwrap_or_default().max(pause.mul_f64(jitter()));
            if tries >= self.patience.retries || Instant::now() + wait >= end {
                return Err(Failure::Passing { reason, wait: asked });
            }
            tries += 1;
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// One request; an answer is one of success. The time is for all of the answer, or for its head.
    async fn send(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
        whole: bool,
    ) -> Result<Response, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut request = self.client()?.post(url).json(body);
        if whole {
            request = request.timeout(timeout);
        }
        let Ok(answered) = tokio::time::timeout(timeout, request.send()).await else {
            return Err(Failure::Passing { reason: silent(timeout), wait: None });
        };
        let mut response = answered.map_err(|error| lost(&error, timeout))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = wait_of(&response);
        let text = read(&mut response, MAX_REFUSAL).await.map_err(|error| lost(&error, timeout))?;
        let mut refusal = Refusal::parse(&text);
        refusal.message = self.without_secrets(&refusal.message);
        let passing = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
        // Some answer 500 to what they can't read.
        let unread = status.as_u16() == 500 && refusal.is_about_form();
        if passing && !unread && !refusal.is_about_money() {
            let told = refusal.told(status.as_u16());
            let reason = match wait {
                Some(wait) => format!("{told} (it asks to wait {} s)", wait.as_secs()),
                None => told,
            };
            return Err(Failure::Passing { reason, wait });
        }
        Err(Failure::Refused { status: status.as_u16(), refusal })
    }

    fn without_secrets(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }

    /// That the service is away, and how long it asks to be left alone.
    pub(crate) fn unavailable(&self, reason: String, wait: Option<Duration>) -> ModelError {
        ModelError::Unavailable { kind: self.kind, server: self.server.clone(), reason, wait }
    }

    /// That the service says no, and which setting to look at.
    pub(crate) fn refused(&self, status: u16, refusal: &Refusal, advice: String) -> ModelError {
        ModelError::Refused { kind: self.kind, server: self.server.clone(), reason: refusal.told(status), advice }
    }

    /// That what came is no answer.
    pub(crate) fn no_answer(&self, answer: impl Into<String>, advice: &'static str) -> ModelError {
        let answer = self.without_secrets(&answer.into());
        ModelError::Answer { kind: self.kind, server: self.server.clone(), answer, advice }
    }
}

/// A thread that carries the requests of a client whose callers block.
pub(crate) fn runtime(kind: ModelKind) -> Result<Runtime, ModelError> {
    tokio::runtime::Builder::new_multi_thread()
        // It passes bytes on; who waits for an answer reads it.
        .worker_threads(1)
        .thread_name(kind.as_str())
        .enable_all()
        .build()
        .map_err(|error| ModelError::Settings(format!("the thread of the {kind} can't be started: {error}")))
}

/// A URL as it may be shown: without a password or a query.
pub(crate) fn place(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url.trim()) else {
        return if url.contains('@') { "[redacted]".into() } else { url.to_owned() };
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.as_str().trim_end_matches('/').to_owned()
}

/// The first characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// The body, or as much of it as there is room for.
async fn read(response: &mut Response, most: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == most {
            break;
        }
    }
    Ok(body)
}

/// How long the service asks to wait: seconds, or a date.
fn wait_of(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// From a half to one and a half, another each time: what hash maps are seeded with is random enough.
fn jitter() -> f64 {
    0.5 + (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Why no answer came, without the URL, which may hold a password.
fn lost(error: &reqwest::Error, timeout: Duration) -> Failure {
    let cause = innermost(error);
    let known = ["Connection refused", "Connection reset", "Name or service not known"];
    let reason = match known.iter().find(|known| cause.contains(**known)) {
        _ if error.is_timeout() && !error.is_connect() => silent(timeout),
        Some(known) => known.to_lowercase(),
        None => cause,
    };
    Failure::Passing { reason, wait: None }
}

fn silent(timeout: Duration) -> String {
    format!("no answer within {:.1} s", timeout.as_secs_f64())
}

/// The last cause, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
