//! One question to the service, and its errors in our words.

use std::future::Future;
use std::pin::Pin;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Serialize;

use super::OpenAiConfig;
use super::answer;
use crate::error::{ModelError, ModelKind};
use crate::service::{Failure, Patience, Refusal, Service, cut};

/// A text that is refused for its length is cut in half until it has fewer characters than this.
const SHORT: usize = 500;
/// Room for a number of a vector, in bytes of JSON.
const NUMBER: usize = 40;
/// What to look at where an answer is none.
const WRONG_PLACE: &str =
    "look whether embedder_url (MNEMON_EMBEDDER_URL) is the base URL of an OpenAI-compatible service";

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

/// A service, and how to ask it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) config: OpenAiConfig,
    service: Service,
}

impl Endpoint {
    pub(super) fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
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
        let patience = Patience { timeout: config.timeout, deadline: config.deadline, retries: config.retries };
        let service =
            Service::new(ModelKind::Embedder, "embedder_url", &config.base_url, &["/embeddings"], headers, patience)?;
        Ok(Self { config, service })
    }

    /// Vectors of these texts, asked for together where the service takes them so.
    ///
    /// Boxed, as it asks for parts of what is too long.
    pub(super) fn embed<'f>(&'f self, texts: &'f [&'f str]) -> Vectors<'f> {
        Box::pin(async move {
            let (status, refusal) = match self.send(texts).await {
                Ok(body) => return self.read(&body, texts.len()),
                Err(Failure::Passing { reason, wait }) => return Err(self.service.unavailable(reason, wait)),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused { status, refusal }) => (status, refusal),
            };
            let too_long = status == 413 || (matches!(status, 400 | 422) && refusal.is_about_length());
            // Together they may be too long; alone, the beginning must do.
            match texts {
                _ if !too_long => Err(self.refused(status, &refusal)),
                [text] => match text.chars().count() {
                    ..SHORT => Err(self.refused(status, &refusal)),
                    chars => self.embed(&[cut(text, chars / 2)]).await,
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
        // Enough for vectors eight times as long as expected, so that their length can be told.
        let most = (1 << 20) + texts.len() * self.config.dims * NUMBER * 8;
        self.service.post("/embeddings", &body, most).await
    }

    fn read(&self, body: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let vectors = answer::vectors(body, texts).map_err(|told| self.service.no_answer(told, WRONG_PLACE))?;
        match vectors.iter().find(|vector| vector.len() != self.config.dims) {
            None => Ok(vectors),
            Some(vector) => Err(ModelError::Dims {
                model: self.config.model.clone(),
                expected: self.config.dims,
                found: vector.len(),
            }),
        }
    }

    /// What a refusal means here.
    fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        let model = &self.config.model;
        let advice = match status {
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
        self.service.refused(status, refusal, advice)
    }
}
