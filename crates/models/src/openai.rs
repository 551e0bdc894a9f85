//! An embedder behind an OpenAI-compatible `POST /embeddings`: OpenAI's own, or a server on this machine.

mod answer;
mod batches;
mod send;

use std::fmt;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::embedder::{Embedder, normalise};
use crate::error::{ModelError, ModelKind};
use crate::service;
use batches::batches;
use send::Endpoint;

/// Texts that OpenAI's service and those like it take in one request without asking back.
const MAX_BATCH: usize = 128;

/// Where the model is, and how to ask it.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenAiConfig {
    /// What `/embeddings` is appended to: `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token. Servers on one's own machine need none.
    pub api_key: Option<String>,
    /// The model's name, as the service knows it.
    pub model: String,
    /// The length of its vectors.
    pub dims: usize,
    /// Asks for vectors of [`dims`](Self::dims), which models of fixed length refuse.
    pub send_dims: bool,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long a request may take with all its tries and the pauses between them.
    pub deadline: Duration,
    /// How often a request is sent again where nobody answers, or the answer is 429 or 5xx.
    pub retries: u32,
    /// The most texts of one request, from 1 to 128.
    pub batch_texts: usize,
    /// The most characters of one request; a longer text goes alone.
    pub batch_chars: usize,
    /// Characters of a text after these are not sent.
    pub max_chars: usize,
    /// Requests that are on their way at the same time, where there are more texts than one holds.
    pub concurrency: usize,
}

impl OpenAiConfig {
    /// A model of OpenAI's service, without a key.
    pub fn new(model: impl Into<String>, dims: usize) -> Self {
        Self {
            base_url: "https://api.openai.com/v1".into(),
            api_key: None,
            model: model.into(),
            dims,
            send_dims: false,
            timeout: Duration::from_secs(25),
            deadline: Duration::from_secs(50),
            retries: 3,
            batch_texts: MAX_BATCH,
            batch_chars: 100_000,
            max_chars: 24_000,
            concurrency: 4,
        }
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiConfig")
            // May hold a password.
            .field("base_url", &service::place(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            .field("dims", &self.dims)
            .field("send_dims", &self.send_dims)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("retries", &self.retries)
            .field("batch_texts", &self.batch_texts)
            .field("batch_chars", &self.batch_chars)
            .field("max_chars", &self.max_chars)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

/// Asks an OpenAI-compatible service for vectors.
///
/// Blocks until the answer is there, so it must not be called from async code. It may be dropped anywhere.
///
/// Its fingerprint is `openai:MODEL:DIMS`: the same model behind another address is the same embedder.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    endpoint: Endpoint,
    fingerprint: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl OpenAiEmbedder {
    /// An embedder that has not asked yet: nothing is sent before there are texts.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        let fingerprint = format!("openai:{}:{}", config.model, config.dims);
        let endpoint = Endpoint::new(config)?;
        let runtime = service::runtime(ModelKind::Embedder)?;
        Ok(Self { endpoint, fingerprint, runtime: Some(runtime) })
    }

    /// Vectors of texts that say something.
    async fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        let config = &self.endpoint.config;
        let batches = batches(texts, config.batch_texts.clamp(1, MAX_BATCH), config.batch_chars);
        let asked = batches.into_iter().map(|batch| self.endpoint.embed(batch));
        stream::iter(asked).buffered(config.concurrency.max(1)).try_concat().await
    }
}

impl Embedder for OpenAiEmbedder {
    fn dims(&self) -> usize {
        self.endpoint.config.dims
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut vectors = vec![Vec::new(); texts.len()];
        let mut places = Vec::with_capacity(texts.len());
        let mut sent = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            // Services refuse the empty text.
            if text.trim().is_empty() {
                vectors[place] = vec![0.0; self.dims()];
            } else {
                places.push(place);
                sent.push(service::cut(text, self.endpoint.config.max_chars));
            }
        }
        if sent.is_empty() {
            return Ok(vectors);
        }
        let answers = match &self.runtime {
            Some(runtime) => runtime.block_on(self.ask(&sent))?,
            None => unreachable!("the runtime is there until the embedder is dropped"),
        };
        for (place, mut vector) in places.into_iter().zip(answers) {
            normalise(&mut vector);
            vectors[place] = vector;
        }
        Ok(vectors)
    }
}

impl Drop for OpenAiEmbedder {
    fn drop(&mut self) {
        // Where an embedder is dropped, waiting may not be allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
