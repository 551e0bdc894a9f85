//! Requests to the service, and its errors.

use std::future::Future;
use std::pin::Pin;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Serialize;

use super::answer;
use super::config::OpenAiConfig;
use crate::error::{ModelError, ModelKind};
use crate::service::{Failure, Refusal, RetryPolicy, Service};
use crate::text::first_chars;

/// A text that is rejected as too long is halved until it has fewer characters than this.
const MIN_CHARS: usize = 500;
/// Assumed maximum length of one vector element in JSON, in bytes; limits the size of the response.
const NUMBER_BYTES: usize = 40;

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

type Vectors<'f> = Pin<Box<dyn Future<Output = Result<Vec<Vec<f32>>, ModelError>> + 'f>>;

/// An endpoint that embeds texts.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: OpenAiConfig,
    service: Service,
}

impl Endpoint {
    pub(super) fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        if config.model.trim().is_empty() || config.dims == 0 {
            return Err(invalid_setting("embedder", "needs the name of a model and its dims"));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))
                .map_err(|_| invalid_setting("OPENAI_API_KEY", "has invalid characters: copy it again"))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let policy = RetryPolicy { timeout: config.timeout, deadline: config.deadline, retries: config.retries };
        let service =
            Service::new(ModelKind::Embedder, "embedder_url", &config.base_url, &["/embeddings"], headers, policy)?;
        Ok(Self { config, service })
    }

    /// Embeds texts, in one request if the service accepts them together, else in several.
    ///
    /// Returns a boxed future, because it calls itself for the parts.
    pub(super) fn embed<'f>(&'f self, texts: &'f [&'f str]) -> Vectors<'f> {
        Box::pin(async move {
            let (status, refusal) = match self.send(texts).await {
                Ok(body) => return self.read(&body, texts.len()),
                Err(Failure::Unavailable { reason, wait }) => return Err(self.service.unavailable(reason, wait)),
                Err(Failure::Configuration(error)) => return Err(error),
                Err(Failure::Refused { status, refusal }) => (status, refusal),
            };
            let too_long = status == 413 || (matches!(status, 400 | 422) && refusal.is_about_length());
            match texts {
                _ if !too_long => Err(self.refused(status, &refusal)),
                // A single text that is too long is embedded by its beginning.
                [text] => match text.chars().count() {
                    ..MIN_CHARS => Err(self.refused(status, &refusal)),
                    chars => self.embed(&[first_chars(text, chars / 2)]).await,
                },
                _ => {
                    let (first, rest) = texts.split_at(texts.len() / 2);
                    let mut vectors = self.embed(first).await?;
                    vectors.extend(self.embed(rest).await?);
                    Ok(vectors)
                }
            }
        })
    }

    async fn send(&self, texts: &[&str]) -> Result<Vec<u8>, Failure> {
        let body = Body {
            model: &self.config.model,
            input: texts,
            encoding_format: "float",
            dimensions: self.config.send_dims.then_some(self.config.dims),
        };
        // Enough for vectors that are eight times as long as expected, so that the error can name their length.
        let max_bytes = (1 << 20) + texts.len() * self.config.dims * NUMBER_BYTES * 8;
        self.service.post("/embeddings", &body, max_bytes).await
    }

    fn read(&self, body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let vectors = answer::vectors(body, texts).map_err(|fault| self.service.unreadable_answer(fault))?;
        match vectors.iter().find(|vector| vector.len() != self.config.dims) {
            None => Ok(vectors),
            Some(vector) => Err(ModelError::Dims {
                model: self.config.model.clone(),
                expected: self.config.dims,
                found: vector.len(),
            }),
        }
    }

    fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        self.service.refused(status, refusal, &self.config.model, self.config.api_key.is_some())
    }
}

fn invalid_setting(setting: &'static str, reason: &str) -> ModelError {
    ModelError::Settings { kind: ModelKind::Embedder, setting, reason: reason.to_owned() }
}
