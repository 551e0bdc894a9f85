//! The headers of the requests.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::config::{LlmConfig, LlmProvider};
use crate::error::{ModelError, ModelKind};
use crate::service::{Address, add_headers, clean_key, header_of_key};

pub(super) fn invalid_setting(setting: &'static str, reason: &str) -> ModelError {
    ModelError::Settings { kind: ModelKind::LanguageModel, setting, reason: reason.to_owned() }
}

/// The headers of a configuration: its key, and those that it names.
///
/// # Errors
/// [`ModelError::Settings`] if one of them is not valid.
pub(super) fn headers(config: &LlmConfig, address: &Address) -> Result<HeaderMap, ModelError> {
    let kind = ModelKind::LanguageModel;
    let mut headers = match (config.provider, config.api_key.as_deref().and_then(clean_key)) {
        (LlmProvider::Anthropic, Some(key)) => {
            header_of_key(kind, "LLM_API_KEY", HeaderName::from_static("x-api-key"), key)?
        }
        (_, key) => address.key_header(kind, "LLM_API_KEY", key.as_deref())?,
    };
    if config.provider == LlmProvider::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    add_headers(kind, "llm_headers", &mut headers, &config.headers)?;
    Ok(headers)
}
