//! An embedder with the OpenAI-compatible API `POST /embeddings`: OpenAI's service, or a local server.

mod answer;
mod batches;
mod config;
mod endpoint;
mod learned;
mod outcome;
mod request;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::embedder::{Embedder, Embedding, Parts};
use crate::error::{ModelError, ModelKind};
use crate::pieces::cut;
use crate::service;
use batches::batches;
pub use config::OpenAiConfig;
use endpoint::Endpoint;

/// Embeds texts with an OpenAI-compatible service.
///
/// What the service refuses is learned: it is sent no longer texts, no more texts at once and no parameters than it accepts.
/// A text that is too long is embedded in pieces, and what no request can embed is left out.
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

    /// Embeds texts that are not blank and not too long.
    async fn embed_all(&self, texts: &[&str]) -> Result<Vec<Parts>, ModelError> {
        let config = &self.endpoint.config;
        let batches = batches(texts, config.batch_texts.max(1), config.batch_chars);
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

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        let max_chars = self.endpoint.config.max_chars.max(1);
        let fits = |text: &str| self.endpoint.learned.fits(text) && text.chars().nth(max_chars).is_none();
        let mut owners = Vec::with_capacity(texts.len());
        let mut pieces = Vec::with_capacity(texts.len());
        for (owner, text) in texts.iter().enumerate() {
            // Services reject empty texts.
            for piece in cut(text, &fits).into_iter().filter(|piece| !piece.trim().is_empty()) {
                owners.push(owner);
                pieces.push(piece);
            }
        }
        let mut parts = vec![Parts::default(); texts.len()];
        if !pieces.is_empty() {
            let found = match &self.runtime {
                Some(runtime) => runtime.block_on(self.embed_all(&pieces))?,
                None => unreachable!("the runtime exists until the embedder is dropped"),
            };
            owners.iter().zip(&found).for_each(|(owner, found)| parts[*owner].join(found));
        }
        Ok(parts.into_iter().map(|parts| parts.embedding(self.dims())).collect())
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
