//! Settings of the language model and of the reranker.

use std::sync::Arc;
use std::time::Duration;

use mnemon_engine::{EngineError, LlmReranker, ModelServices};
use mnemon_models::{ChatModel, HttpReranker, LlmClient, LlmConfig, LlmProvider, RerankConfig, Reranker, is_base_url};
use mnemon_store::DocumentStore;
use serde_json::{Map, Value};

use super::declared::Values;
use super::environment::Environment;
use super::names::with_variable;
use crate::error::CliError;

/// The language model, if any, the reranker, and instructions for extraction.
#[derive(Clone, Debug)]
pub(crate) struct LlmSettings {
    llm: Option<Box<LlmConfig>>,
    reranker: RerankerSettings,
    instructions: Option<String>,
}

#[derive(Clone, Debug)]
enum RerankerSettings {
    None,
    Llm,
    Http(Box<RerankConfig>),
}

/// Time for embedding and storing facts after the model's answer.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

pub(super) fn resolve(values: &Values, environment: &Environment) -> anyhow::Result<LlmSettings> {
    let llm = match values.llm.trim() {
        "none" => None,
        name => Some(Box::new(config(name, values, environment)?)),
    };
    let reranker = match values.reranker.trim() {
        "none" => RerankerSettings::None,
        "llm" if llm.is_none() => {
            let message = format!("reranker is `llm`: set {} as well", with_variable("llm"));
            return Err(CliError::usage(message).into());
        }
        "llm" => RerankerSettings::Llm,
        name => {
            let model = name.strip_prefix("http:").filter(|model| !model.is_empty());
            let model =
                model.ok_or_else(|| values.invalid("reranker", "`none`, `llm`, or `http:MODEL` with reranker_url"))?;
            let url = values.reranker_url.clone().ok_or_else(|| {
                CliError::usage(format!(
                    "{} is not set: give the base URL of a service with /rerank",
                    with_variable("reranker_url")
                ))
            })?;
            if !is_base_url(&url) {
                return Err(values
                    .invalid("reranker_url", "the base URL of a service, such as http://localhost:8001")
                    .into());
            }
            let mut config = RerankConfig::new(url, model);
            config.api_key = environment.non_blank("RERANKER_API_KEY");
            RerankerSettings::Http(Box::new(config))
        }
    };
    let instructions = Some(values.llm_instructions.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(LlmSettings { llm, reranker, instructions })
}

fn config(name: &str, values: &Values, environment: &Environment) -> anyhow::Result<LlmConfig> {
    let invalid = || {
        let expected = "`none`, or `openai:MODEL`, `anthropic:MODEL` or `ollama:MODEL`, such as openai:gpt-4o-mini";
        values.invalid("llm", expected)
    };
    let (provider, model) = name.split_once(':').ok_or_else(invalid)?;
    let (provider, key, url) = match provider {
        "openai" => (LlmProvider::OpenAi, "OPENAI_API_KEY", "OPENAI_BASE_URL"),
        "anthropic" => (LlmProvider::Anthropic, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
        "ollama" => (LlmProvider::Ollama, "OLLAMA_API_KEY", "OLLAMA_BASE_URL"),
        _ => return Err(invalid().into()),
    };
    if model.trim().is_empty() {
        return Err(invalid().into());
    }
    let mut config = LlmConfig::new(provider, model.trim());
    config.api_key = environment.non_blank("LLM_API_KEY").or_else(|| environment.non_blank(key));
    if let Some(url) = base_url(values, "llm_url", values.llm_url.as_deref(), environment, url)? {
        config.base_url = url;
    }
    for (key, value, max) in [("llm_temperature", values.llm_temperature, 2.0), ("llm_top_p", values.llm_top_p, 1.0)] {
        if value.is_some_and(|value| !(0.0..=max).contains(&value)) {
            return Err(values.invalid(key, &format!("a number from 0 to {max}")).into());
        }
    }
    config.temperature = values.llm_temperature;
    config.top_p = values.llm_top_p;
    config.max_tokens = Some(values.llm_max_tokens).filter(|max| *max > 0);
    config.timeout = values.llm_timeout;
    // Leaves time for one retry within the default timeout of a server's request.
    config.deadline = config.timeout + config.timeout.mul_f64(0.375);
    config.extra = object(values, "llm_extra", &values.llm_extra)?;
    config.headers = headers(values, "llm_headers", &values.llm_headers)?;
    Ok(config)
}

/// The base URL of a model: that of the setting, or else that of the variable.
pub(super) fn base_url(
    values: &Values,
    key: &str,
    value: Option<&str>,
    environment: &Environment,
    variable: &str,
) -> Result<Option<String>, CliError> {
    let (origin, url) = match value {
        Some(url) => (values.origin(key), url.to_owned()),
        None => match environment.non_blank(variable) {
            Some(url) => (variable.to_owned(), url),
            None => return Ok(None),
        },
    };
    if !is_base_url(&url) {
        let shown = if url.contains('@') { "not valid".to_owned() } else { format!("`{url}`") };
        let message = format!("{origin} is {shown}; give the base URL of a service, such as https://api.openai.com/v1");
        return Err(CliError::usage(message));
    }
    Ok(Some(url))
}

/// A warning about settings that have no effect without a language model, or with a local embedder.
pub(super) fn unused(values: &Values) -> Option<String> {
    let has_llm = values.llm.trim() != "none";
    let name = values.embedder.trim();
    let is_local = name == "builtin" || name == "minilm" || name.starts_with("minilm:");
    let warning = |prefix: &str, expected: &str| {
        let set: Vec<String> = values.given(prefix).map(with_variable).collect();
        (!set.is_empty()).then(|| format!("{} without effect: {expected}", set.join(", ")))
    };
    let llm = || warning("llm_", &format!("set {}, such as openai:gpt-4o-mini", with_variable("llm")));
    let embedder = || {
        let expected = format!("set {} to a model behind an endpoint, such as openai:MODEL", with_variable("embedder"));
        warning("embedder_", &expected)
    };
    let warnings = [(!has_llm).then(llm).flatten(), is_local.then(embedder).flatten()];
    let warnings: Vec<String> = warnings.into_iter().flatten().collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

/// Headers as a JSON object.
pub(super) fn headers(values: &Values, key: &str, text: &str) -> Result<Vec<(String, String)>, CliError> {
    let header = |(name, value)| match value {
        Value::String(value) => Ok((name, value)),
        _ => Err(values.invalid(key, &format!("a string as the value of {name}"))),
    };
    object(values, key, text)?.into_iter().map(header).collect()
}

fn object(values: &Values, key: &str, text: &str) -> Result<Map<String, Value>, CliError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|_| values.invalid(key, "a JSON object, such as {\"store\": false}"))
}

impl LlmSettings {
    /// Creates the clients for the engine. No request is sent yet.
    pub(crate) fn build(&self, documents: Arc<dyn DocumentStore>) -> Result<ModelServices, EngineError> {
        let llm: Option<Arc<dyn ChatModel>> = match &self.llm {
            Some(config) => Some(Arc::new(LlmClient::new((**config).clone())?)),
            None => None,
        };
        let reranker: Option<Arc<dyn Reranker>> = match (&self.reranker, &llm) {
            (RerankerSettings::Http(config), _) => Some(Arc::new(HttpReranker::new((**config).clone())?)),
            (RerankerSettings::Llm, Some(llm)) => Some(Arc::new(LlmReranker::new(llm.clone()))),
            _ => None,
        };
        let deadline = self.llm.as_ref().map_or(Duration::from_secs(55), |config| config.deadline);
        Ok(ModelServices {
            llm,
            documents: Some(documents),
            reranker,
            instructions: self.instructions.clone(),
            // The lease is renewed before each call of the model.
            lease: deadline + LEASE_MARGIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(change: impl FnOnce(&mut Values), environment: &[(&str, &str)]) -> anyhow::Result<LlmSettings> {
        let mut values = Values::default();
        change(&mut values);
        resolve(&values, &Environment::of(environment.iter().copied())?)
    }

    fn config(name: &str, environment: &[(&str, &str)]) -> LlmConfig {
        *resolved(|values| values.llm = name.into(), environment).unwrap().llm.unwrap()
    }

    #[test]
    fn there_is_no_model_by_default() {
        let environment = [("OPENAI_API_KEY", "hush"), ("OPENAI_BASE_URL", "http://x/v1")];
        assert!(resolved(|_| (), &environment).unwrap().llm.is_none());
        for name in ["gpt-4o", "openai:", "gemini:x", ""] {
            assert!(resolved(|values| values.llm = name.into(), &[]).is_err(), "{name}");
        }
    }

    #[test]
    fn keys_and_urls_are_those_of_the_provider_by_default() {
        let environment = [("OPENAI_API_KEY", "o"), ("OPENAI_BASE_URL", "http://o/v1"), ("ANTHROPIC_API_KEY", "a")];
        let openai = config("openai:gpt-4o-mini", &environment);
        assert_eq!((openai.base_url.as_str(), openai.api_key.as_deref()), ("http://o/v1", Some("o")));
        let anthropic = config("anthropic:claude-x", &environment);
        assert_eq!(
            (anthropic.base_url.as_str(), anthropic.api_key.as_deref()),
            ("https://api.anthropic.com/v1", Some("a"))
        );
        let ollama = config("ollama:qwen3:4b", &[("LLM_API_KEY", "l")]);
        assert_eq!((ollama.model.as_str(), ollama.api_key.as_deref()), ("qwen3:4b", Some("l")));
    }

    #[test]
    fn a_base_url_that_is_none_is_a_usage_error_with_its_origin() {
        for url in ["xx", "localhost:4000/v1", "ftp://h/v1", "http://", "/v1", "api.openai.com/v1"] {
            let with = |values: &mut Values| {
                values.llm = "openai:x".into();
                values.llm_url = Some(url.into());
            };
            let error = resolved(with, &[]).unwrap_err().to_string();
            assert!(error.starts_with("llm_url is `") && error.contains("https://api.openai.com/v1"), "{error}");
            let error = resolved(|values| values.llm = "openai:x".into(), &[("OPENAI_BASE_URL", url)]).unwrap_err();
            assert!(error.to_string().starts_with("OPENAI_BASE_URL is `"), "{error}");
            let error =
                resolved(|values| (values.reranker, values.reranker_url) = ("http:m".into(), Some(url.into())), &[]);
            assert!(error.unwrap_err().to_string().starts_with("reranker_url is `"));
        }
        let secret = |values: &mut Values| (values.llm, values.llm_url) = ("openai:x".into(), Some("me:hush@h".into()));
        assert!(!resolved(secret, &[]).unwrap_err().to_string().contains("hush"));
    }

    #[test]
    fn settings_without_their_model_are_named() {
        let values = |pairs: &[(&str, &str)]| {
            let environment = Environment::of(pairs.iter().copied()).unwrap();
            unused(&Values::read(None, &environment, &[]).unwrap())
        };
        for (name, value) in [
            ("MNEMON_LLM_URL", "http://h/v1"),
            ("MNEMON_LLM_TEMPERATURE", "0.1"),
            ("MNEMON_LLM_TOP_P", "0.1"),
            ("MNEMON_LLM_MAX_TOKENS", "9"),
            ("MNEMON_LLM_TIMEOUT", "9s"),
            ("MNEMON_LLM_EXTRA", "{}"),
            ("MNEMON_LLM_HEADERS", "{}"),
            ("MNEMON_LLM_INSTRUCTIONS", "x"),
        ] {
            let warning = values(&[(name, value)]).unwrap_or_default();
            assert!(warning.contains(name) && warning.contains("MNEMON_LLM"), "{name}: {warning}");
            assert_eq!(values(&[(name, value), ("MNEMON_LLM", "openai:x")]), None, "{name}");
        }
        for (name, value) in [
            ("MNEMON_EMBEDDER_BATCH_TEXTS", "9"),
            ("MNEMON_EMBEDDER_MAX_CHARS", "900"),
            ("MNEMON_EMBEDDER_TIMEOUT", "9s"),
        ] {
            for embedder in ["builtin", "minilm", "minilm:x"] {
                assert!(values(&[(name, value), ("MNEMON_EMBEDDER", embedder)]).unwrap().contains(name), "{name}");
            }
            assert_eq!(values(&[(name, value), ("MNEMON_EMBEDDER", "ollama:x")]), None, "{name}");
        }
        assert_eq!(values(&[]), None);
    }

    #[test]
    fn invalid_values_are_refused() {
        for change in [
            (|values| values.llm_temperature = Some(3.0)) as fn(&mut Values),
            |values| values.llm_extra = "store".into(),
            |values| values.llm_headers = r#"{"x": 1}"#.into(),
            |values| values.llm_top_p = Some(f64::NAN),
            |values| values.llm_extra = "[]".into(),
            |values| values.reranker = "http:x".into(),
            |values| values.reranker = "x".into(),
        ] {
            let with = |values: &mut Values| {
                values.llm = "openai:x".into();
                change(values);
            };
            assert!(resolved(with, &[]).is_err());
        }
        assert!(resolved(|values| values.reranker = "llm".into(), &[]).is_err());
    }
}
