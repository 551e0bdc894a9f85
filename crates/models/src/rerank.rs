//! Rerankers: they read a question and each memory together. That ranks better than comparing vectors, but takes longer.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::error::{ModelError, ModelKind};
use crate::service::{self, Address, Failure, NoProbe, RetryPolicy, Root, Service, clean_key};

/// Scores how well texts answer a question. Calls block; shared between threads.
pub trait Reranker: Send + Sync {
    /// Returns one score for each text, in order; higher is better. Scores are comparable within one call only.
    ///
    /// # Errors
    /// If the model is not available, or its answer has no scores.
    fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError>;
}

/// The configuration of a cross-encoder.
#[derive(Clone)]
#[non_exhaustive]
pub struct RerankConfig {
    /// The URL that `/rerank` is appended to.
    pub base_url: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// The name of the model at the service.
    pub model: String,
    /// Timeout of one attempt. All attempts together may take twice as long.
    pub timeout: Duration,
}

impl RerankConfig {
    /// A model at a service, without a key.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), api_key: None, model: model.into(), timeout: Duration::from_secs(10) }
    }
}

impl fmt::Debug for RerankConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RerankConfig")
            // May contain a password.
            .field("base_url", &service::without_credentials(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// A cross-encoder with the API `POST /rerank {model, query, documents}` of Cohere, Jina, vLLM, llama.cpp and others.
///
/// Calls block, so they must not be made from async code. The reranker may be dropped anywhere.
#[derive(Debug)]
pub struct HttpReranker {
    model: String,
    has_key: bool,
    service: Service,
    /// `None` only while the reranker is dropped.
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

impl HttpReranker {
    /// Creates a reranker; sends nothing yet.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: RerankConfig) -> Result<Self, ModelError> {
        let kind = ModelKind::Reranker;
        let address = Address::new(kind, "reranker_url", &config.base_url, Root::Host)?;
        let headers = address.key_header(kind, "RERANKER_API_KEY", config.api_key.as_deref())?;
        let policy = RetryPolicy { timeout: config.timeout, deadline: config.timeout.saturating_mul(2), retries: 2 };
        let service = Service::new(kind, address, headers, policy);
        let runtime = Some(service::runtime(ModelKind::Reranker)?);
        Ok(Self {
            model: config.model,
            has_key: config.api_key.as_deref().and_then(clean_key).is_some(),
            service,
            runtime,
        })
    }

    fn read(&self, body: &[u8], texts: usize) -> Result<Vec<f32>, ModelError> {
        let wrong = |fault: String| self.service.unreadable_answer(fault);
        let answer: Answer = serde_json::from_slice(body).map_err(|error| wrong(format!("no scores ({error})")))?;
        if answer.results.is_empty() && texts > 0 {
            return Err(wrong("no scores".into()));
        }
        // Texts that the service leaves out get its lowest score.
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
        let result = match &self.runtime {
            Some(runtime) => runtime.block_on(self.service.post("/rerank", &body, 1 << 20, &NoProbe)),
            None => unreachable!("the runtime exists until the reranker is dropped"),
        };
        match result {
            Ok(body) => self.read(&body, texts.len()),
            Err(Failure::Unavailable { reason, wait, .. }) => Err(self.service.unavailable(reason, wait)),
            Err(Failure::Configuration(error)) => Err(error),
            Err(Failure::Refused { status, refusal, .. }) => {
                Err(self.service.refused(status, &refusal, &self.model, self.has_key))
            }
        }
    }
}

impl Drop for HttpReranker {
    fn drop(&mut self) {
        // The reranker may be dropped in async code, where waiting for the runtime is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
