//! The configuration of a language model.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::service;

/// The API of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlmProvider {
    /// `POST /chat/completions`: the API of OpenAI and of many compatible services.
    OpenAi,
    /// Anthropic's `POST /v1/messages`.
    Anthropic,
    /// Ollama's `POST /api/chat`.
    Ollama,
}

impl LlmProvider {
    /// The provider's own base URL.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

/// The configuration of a language model. Requests contain only parameters that are set here: sampling parameters have no
/// defaults.
#[derive(Clone)]
#[non_exhaustive]
pub struct LlmConfig {
    /// The API to use.
    pub provider: LlmProvider,
    /// The URL that the provider's path is appended to.
    pub base_url: String,
    /// Sent as a bearer token, or as `x-api-key` to Anthropic.
    pub api_key: Option<String>,
    /// The name of the model at the endpoint.
    pub model: String,
    /// Additional headers: (name, value).
    pub headers: Vec<(String, String)>,
    /// Randomness, 0 ..= 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 ..= 1.
    pub top_p: Option<f64>,
    /// Maximum number of tokens of an answer.
    pub max_tokens: Option<u32>,
    /// Additional keys of the request's body, such as `store` or `reasoning_effort`.
    pub extra: Map<String, Value>,
    /// Timeout of one attempt; for a stream, of the first byte and of each following chunk.
    pub timeout: Duration,
    /// Maximum time for all attempts of a request and the pauses between them.
    pub deadline: Duration,
    /// Number of retries if there is no answer, or if its status is 408, 425, 429 or 5xx.
    pub retries: u32,
    /// Maximum number of concurrent requests; further ones wait.
    pub concurrency: usize,
}

impl LlmConfig {
    /// A model at the provider's own base URL, without a key.
    pub fn new(provider: LlmProvider, model: impl Into<String>) -> Self {
        Self {
            provider,
            base_url: provider.default_url().into(),
            api_key: None,
            model: model.into(),
            headers: Vec::new(),
            temperature: None,
            top_p: None,
            max_tokens: None,
            extra: Map::new(),
            timeout: Duration::from_secs(40),
            deadline: Duration::from_secs(55),
            retries: 4,
            concurrency: 8,
        }
    }
}

impl fmt::Debug for LlmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("LlmConfig")
            .field("provider", &self.provider)
            // May contain a password.
            .field("base_url", &service::without_credentials(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            // The values may be keys.
            .field("headers", &headers)
            .field("temperature", &self.temperature)
            .field("top_p", &self.top_p)
            .field("max_tokens", &self.max_tokens)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("retries", &self.retries)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}
