//! An embedder with the OpenAI-compatible API `POST /embeddings`: OpenAI's service, or a local server.

mod answer;
mod batches;
mod config;
mod endpoint;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::embedder::{Embedder, normalise};
use crate::error::{ModelError, ModelKind};
use crate::service;
use crate::text::first_chars;
use batches::batches;
use config::MAX_BATCH;
pub use config::OpenAiConfig;
use endpoint::Endpoint;

/// Embeds texts with an OpenAI-compatible service.
///
/// Calls block, so they must not be made from async code. The embedder may be dropped anywhere.
///
/// Its fingerprint is `openai:MODEL:DIMS`: the same model at another address is the same embedder.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    endpoint: Endpoint,
    fingerprint: String,
    /// `None` only while the embedder is dropped.
    runtime: Option<Runtime>,
}

impl OpenAiEmbedder {
    /// Creates an embedder; sends nothing yet.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: OpenAiConfig) -> Result<Self, ModelError> {
        let fingerprint = format!("openai:{}:{}", config.model, config.dims);
        let endpoint = Endpoint::new(config)?;
        let runtime = service::runtime(ModelKind::Embedder)?;
        Ok(Self { endpoint, fingerprint, runtime: Some(runtime) })
    }

    /// Embeds texts that are not blank.
    async fn embed_all(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        let config = &self.endpoint.config;
        let batches = batches(texts, config.batch_texts.clamp(1, MAX_BATCH), config.batch_chars);
        let requests = batches.into_iter().map(|batch| self.endpoint.embed(batch));
        stream::iter(requests).buffered(config.concurrency.max(1)).try_concat().await
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
        let mut indexes = Vec::with_capacity(texts.len());
        let mut sent = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            // Services reject empty texts.
            if text.trim().is_empty() {
                vectors[index] = vec![0.0; self.dims()];
            } else {
                indexes.push(index);
                sent.push(first_chars(text, self.endpoint.config.max_chars));
            }
        }
        if sent.is_empty() {
            return Ok(vectors);
        }
        let answers = match &self.runtime {
            Some(runtime) => runtime.block_on(self.embed_all(&sent))?,
            None => unreachable!("the runtime exists until the embedder is dropped"),
        };
        for (index, mut vector) in indexes.into_iter().zip(answers) {
            normalise(&mut vector);
            vectors[index] = vector;
        }
        Ok(vectors)
    }
}

impl Drop for OpenAiEmbedder {
    fn drop(&mut self) {
        // The embedder may be dropped in async code, where waiting for the runtime is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
