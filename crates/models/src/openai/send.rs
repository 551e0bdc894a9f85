//! One request: its tries, its deadline, and its errors in our words.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;

use super::OpenAiConfig;
use super::answer::{self, Refusal};
use super::batches::cut;
use crate::error::ModelError;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Before the second try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// A text that is refused for its length is cut in half until it has fewer characters than this.
const SHORT: usize = 500;
/// Room for a number of a vector, in bytes of JSON.
const NUMBER: usize = 40;

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

type Vectors<'f> = Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, ModelError>> + Send + 'f>>;

/// Why there are no vectors.
enum Failure {
    /// Another try may help, after as long as the service asks for.
    Passing { reason: String, wait: Option<Duration> },
    /// The texts are too long; the error is for when they are not.
    Length(ModelError),
    /// No try will help.
    Final(ModelError),
}

/// A service, and how to ask it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: OpenAiConfig,
    /// Made for the first request: reading the system's certificates takes longer than most commands.
    client: OnceLock<Client>,
    headers: HeaderMap,
    url: Url,
    /// The base URL without what is nobody's business.
    server: String,
}

impl Endpoint {
    pub(super) fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        let server = place(&config.base_url);
        let base = config.base_url.trim().trim_end_matches('/');
        let base = base.strip_suffix("/embeddings").unwrap_or(base);
        let url = Url::parse(&format!("{base}/embeddings"))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            ModelError::Settings(format!(
                "embedder_url is `{server}`: give the base URL of an OpenAI-compatible service, such as https://api.openai.com/v1"
            ))
        })?;
        if config.model.trim().is_empty() || config.dims == 0 {
            return Err(ModelError::Settings("an embedder needs the name of a model and its dims".into()));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
                ModelError::Settings("OPENAI_API_KEY holds characters that no key has: copy it again".into())
            })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { config, client: OnceLock::new(), headers, url, server })
    }

    fn client(&self) -> Result<&Client, ModelError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Uses ring's if the program has chosen none: the client takes whichever is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            // A redirected POST arrives as a GET.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(self.config.timeout))
            .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")));
        if self.url.scheme() == "http" {
            // The system's certificates may not be there.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            ModelError::Settings(format!("the embedder's HTTP client can't be made: {}", innermost(&error)))
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Vectors of these texts, asked for together where the service takes them so.
    ///
    /// Boxed, as it asks for parts of what is too long.
    pub(super) fn embed<'f>(&'f self, texts: &'f [&'f str]) -> Vectors<'f> {
        Box::pin(async move {
            let error = match self.send(texts).await {
                Ok(vectors) => return Ok(vectors),
                Err(Failure::Passing { reason, .. }) => {
                    return Err(ModelError::Unavailable { server: self.server.clone(), reason });
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Length(error)) => error,
            };
            // Together they may be too long; alone, the beginning must do.
            match texts {
                [text] => {
                    let chars = text.chars().count();
                    if chars < SHORT {
                        return Err(error);
                    }
                    self.embed(&[cut(text, chars / 2)]).await
                }
                _ => {
                    let (first, rest) = texts.split_at(texts.len() / 2);
                    let mut vectors = self.embed(first).await?;
                    vectors.extend(self.embed(rest).await?);
                    Ok(vectors)
                }
            }
        })
    }

    /// Sends a request, and again where that may help.
    async fn send(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        let end = Instant::now() + self.config.deadline;
        let mut pause = BACKOFF;
        let mut tries = 0;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (reason, wait) = match self.try_once(texts, left.min(self.config.timeout)).await {
                Err(Failure::Passing { reason, wait }) => (reason, wait),
                done => return done,
            };
            // Those that were refused together must not come back together.
            let wait = wait.unwrap_or_default().max(pause.mul_f64(jitter()));
            if tries >= self.config.retries || Instant::now() + wait >= end {
                return Err(Failure::Passing { reason, wait: None });
            }
            tries += 1;
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn try_once(&self, texts: &[&str], timeout: Duration) -> Result<Vec<Vec<f32>>, Failure> {
        let body = Body {
            model: &self.config.model,
            input: texts,
            encoding_format: "float",
            dimensions: self.config.send_dims.then_some(self.config.dims),
        };
        let lost = |error: reqwest::Error| Failure::Passing { reason: lost(&error, timeout), wait: None };
        let client = self.client().map_err(Failure::Final)?;
        let request = client.post(self.url.clone()).json(&body).timeout(timeout);
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            let wait = wait_of(&response);
            let refusal = Refusal::parse(&read(&mut response, answer::MAX_REFUSAL).await.map_err(lost)?);
            return Err(self.failure(status, refusal, wait));
        }
        // Enough for vectors eight times as long as expected, so that their length can be told.
        let most = (1 << 20) + texts.len() * self.config.dims * NUMBER * 8;
        let body = read(&mut response, most).await.map_err(lost)?;
        let vectors = answer::vectors(&body, texts.len())
            .map_err(|answer| Failure::Final(ModelError::Answer { server: self.server.clone(), answer }))?;
        match vectors.iter().find(|vector| vector.len() != self.config.dims) {
            None => Ok(vectors),
            Some(vector) => Err(Failure::Final(ModelError::Dims {
                model: self.config.model.clone(),
                expected: self.config.dims,
                found: vector.len(),
            })),
        }
    }

    /// What an HTTP status means here.
    fn failure(&self, status: StatusCode, refusal: Refusal, wait: Option<Duration>) -> Failure {
        let told = match refusal.message.as_str() {
            "" => format!("HTTP {}", status.as_u16()),
            message => format!("HTTP {}: {message}", status.as_u16()),
        };
        let code = status.as_u16();
        let passing = matches!(code, 408 | 425 | 429) || status.is_server_error();
        if passing && !refusal.is_about_money() {
            let reason = match wait {
                Some(wait) => format!("{told} (it asks to wait {} s)", wait.as_secs()),
                None => told,
            };
            return Failure::Passing { reason, wait };
        }
        let model = &self.config.model;
        let advice = match code {
            401 if self.config.api_key.is_none() => "set OPENAI_API_KEY to a key of this service".to_owned(),
            401 => "set OPENAI_API_KEY to a key that this service knows".to_owned(),
            403 => format!("the key in OPENAI_API_KEY may not use model `{model}` here: allow it, or set another key"),
            404 => format!(
                "look whether embedder (MNEMON_EMBEDDER) names a model that it has, now `{model}`, and embedder_url \
                 (MNEMON_EMBEDDER_URL) ends as it should, usually in /v1"
            ),
            300..=399 => "set embedder_url (MNEMON_EMBEDDER_URL) to where it leads".to_owned(),
            _ if refusal.is_about_money() => "look at the plan and billing of the key in OPENAI_API_KEY".to_owned(),
            _ => format!("look whether embedder (MNEMON_EMBEDDER) names a model that makes vectors, now `{model}`"),
        };
        let error = ModelError::Refused { server: self.server.clone(), reason: told, advice };
        match code {
            413 => Failure::Length(error),
            400 | 422 if refusal.is_about_length() => Failure::Length(error),
            _ => Failure::Final(error),
        }
    }
}

/// A URL as it may be shown: without a password or a query.
pub(super) fn place(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url.trim()) else {
        return if url.contains('@') { "[redacted]".into() } else { url.to_owned() };
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.as_str().trim_end_matches('/').to_owned()
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

/// How long the service asks to wait, in seconds; dates are not read.
fn wait_of(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// From a half to one and a half, another each time: what hash maps are seeded with is random enough.
fn jitter() -> f64 {
    0.5 + (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Why no answer came, without the URL, which may hold a password.
fn lost(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() && !error.is_connect() {
        return format!("no answer within {:.1} s", timeout.as_secs_f64());
    }
    let cause = innermost(error);
    for known in ["Connection refused", "Connection reset", "Name or service not known"] {
        if cause.contains(known) {
            return known.to_lowercase();
        }
    }
    cause
}

/// The last cause, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
