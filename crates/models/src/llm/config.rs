//! Which language model, where it is, and how to ask it.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::service;

/// Whose form requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlmProvider {
    /// `POST /chat/completions`, as OpenAI has it and most others repeat it.
    OpenAi,
    /// Anthropic's `POST /v1/messages`.
    Anthropic,
    /// Ollama's `POST /api/chat`.
    Ollama,
}

impl LlmProvider {
    /// Where its service is, unless one says otherwise.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

/// A language model. Nothing is sent that is not set here: no sampling parameter has a default.
#[derive(Clone)]
#[non_exhaustive]
pub struct LlmConfig {
    /// Whose form requests have.
    pub provider: LlmProvider,
    /// What the provider's path is appended to.
    pub base_url: String,
    /// A bearer token, or Anthropic's `x-api-key`.
    pub api_key: Option<String>,
    /// The model's name, as the endpoint knows it.
    pub model: String,
    /// Headers beside those: (name, value).
    pub headers: Vec<(String, String)>,
    /// Randomness, 0 ..= 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 ..= 1.
    pub top_p: Option<f64>,
    /// The most tokens of an answer.
    pub max_tokens: Option<u32>,
    /// Further keys of the request's body, such as `store` or `reasoning_effort`.
    pub extra: Map<String, Value>,
    /// How long one try may take; when streaming, how long the first byte and each further one may.
    pub timeout: Duration,
    /// How long a request may take with all its tries and the pauses between them.
    pub deadline: Duration,
    /// Tries after the first, where nobody answers or the answer is 429 or 5xx.
    pub retries: u32,
    /// Requests at once; more wait.
    pub concurrency: usize,
}

impl LlmConfig {
    /// A model of a provider, at the provider's own place, without a key.
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
            // May hold a password.
            .field("base_url", &service::place(&self.base_url))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("model", &self.model)
            // Their values may be keys.
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
