//! The configuration of an embedder with an OpenAI-compatible API.

use std::fmt;
use std::time::Duration;

use crate::service;

/// The configuration of an embedder with an OpenAI-compatible API.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenAiConfig {
    /// The URL that `/embeddings` is appended to, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token, to Azure as `api-key`. Local servers usually need none.
    pub api_key: Option<String>,
    /// Additional headers: (name, value).
    pub headers: Vec<(String, String)>,
    /// The name of the model at the service.
    pub model: String,
    /// The length of the vectors.
    pub dims: usize,
    /// Asks for vectors of length [`dims`](Self::dims); models with a fixed length reject this parameter.
    pub send_dims: bool,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Maximum time for all attempts of a request and the pauses between them.
    pub deadline: Duration,
    /// Number of retries if there is no answer, or if its status is 408, 425, 429 or 5xx.
    pub retries: u32,
    /// Maximum number of texts in one request, 1 ..= 2048. Fewer are sent to a service that refuses so many.
    pub batch_texts: usize,
    /// Maximum number of characters in one request; a longer text is sent alone.
    pub batch_chars: usize,
    /// Maximum number of characters of one text, at least 1. A longer text is embedded in pieces; so is a text that the
    /// service refuses for its length.
    pub max_chars: usize,
    /// Maximum number of concurrent requests, if the texts do not fit into one.
    pub concurrency: usize,
}

impl OpenAiConfig {
    /// A model at OpenAI's service, without a key.
    pub fn new(model: impl Into<String>, dims: usize) -> Self {
        Self {
            base_url: "https://api.openai.com/v1".into(),
            api_key: None,
            headers: Vec::new(),
            model: model.into(),
            dims,
            send_dims: false,
            timeout: Duration::from_secs(25),
            deadline: Duration::from_secs(50),
            retries: 3,
            batch_texts: 128,
            batch_chars: 100_000,
            max_chars: 24_000,
            concurrency: 4,
        }
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OpenAiConfig")
            // May contain a password.
            .field("base_url", &service::without_credentials(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            // The values may be keys.
            .field("headers", &headers)
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
