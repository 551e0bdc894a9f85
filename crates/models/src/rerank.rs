//! Rerankers: they read a question and each memory together, which ranks better than comparing vectors, and takes longer.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tokio::runtime::Runtime;

use crate::error::{ModelError, ModelKind};
use crate::service::{self, Failure, Patience, Service};

/// Judges how well texts answer a question. Blocking, and shared between threads.
pub trait Reranker: Send + Sync {
    /// One score a text, in their order; more is better. Scores of one call can be compared with one another, and with
    /// nothing else.
    ///
    /// # Errors
    /// If nobody answers, or no scores.
    fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError>;
}

/// Where a cross-encoder is.
#[derive(Clone)]
#[non_exhaustive]
pub struct RerankConfig {
    /// What `/rerank` is appended to.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// The model's name, as the service knows it.
    pub model: String,
    /// How long a try may take; all tries together take twice that.
    pub timeout: Duration,
}

impl RerankConfig {
    /// A model of a service, without a key.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), api_key: None, model: model.into(), timeout: Duration::from_secs(10) }
    }
}

impl fmt::Debug for RerankConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RerankConfig")
            // May hold a password.
            .field("base_url", &service::place(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// A cross-encoder behind `POST /rerank {model, query, documents}`, as Cohere, Jina, vLLM, llama.cpp and others have it.
///
/// Blocks until the answer is there, so it must not be called from async code. It may be dropped anywhere.
#[derive(Debug)]
pub struct HttpReranker {
    model: String,
    service: Service,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [&'a str],
    top_n: usize,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f32,
}

/// What to look at where an answer is none.
const WRONG_PLACE: &str = "look whether reranker_url (MNEMON_RERANKER_URL) is the base URL of a service with /rerank";

impl HttpReranker {
    /// A reranker that has not asked yet.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: RerankConfig) -> Result<Self, ModelError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))
                .map_err(|_| ModelError::Settings("the reranker's key holds characters that no key has".into()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let patience = Patience { timeout: config.timeout, deadline: config.timeout.saturating_mul(2), retries: 2 };
        let service =
            Service::new(ModelKind::Reranker, "reranker_url", &config.base_url, &["/rerank"], headers, patience)?;
        Ok(Self { model: config.model, service, runtime: Some(service::runtime(ModelKind::Reranker)?) })
    }

    fn read(&self, body: &[u8], texts: usize) -> Result<Vec<f32>, ModelError> {
        let wrong = |told: String| self.service.no_answer(told, WRONG_PLACE);
        let answer: Answer = serde_json::from_slice(body).map_err(|error| wrong(format!("no scores ({error})")))?;
        if answer.results.is_empty() && texts > 0 {
            return Err(wrong("no scores".into()));
        }
        // What a service leaves out is no better than what it names last.
        let worst = answer.results.iter().map(|row| row.relevance_score).fold(0.0, f32::min);
        let mut scores = vec![worst; texts];
        for Row { index, relevance_score } in answer.results {
            match scores.get_mut(index) {
                Some(score) => *score = relevance_score,
                None => return Err(wrong(format!("a score for text {index} of {texts}"))),
            }
        }
        Ok(scores)
    }
}

impl Reranker for HttpReranker {
    fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError> {
        let body = Body { model: &self.model, query: question, documents: texts, top_n: texts.len() };
        let asked = match &self.runtime {
            Some(runtime) => runtime.block_on(self.service.post("/rerank", &body, 1 << 20)),
            None => unreachable!("the runtime is there until the reranker is dropped"),
        };
        match asked {
            Ok(body) => self.read(&body, texts.len()),
            Err(Failure::Passing { reason, wait }) => Err(self.service.unavailable(reason, wait)),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Refused { status, refusal }) => {
                let advice = "look at reranker (MNEMON_RERANKER) and reranker_url (MNEMON_RERANKER_URL)".to_owned();
                Err(self.service.refused(status, &refusal, advice))
            }
        }
    }
}

impl Drop for HttpReranker {
    fn drop(&mut self) {
        // Where it is dropped, waiting may not be allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
