//! Settings of the embedder: built in, local, or behind an endpoint.

use std::sync::Arc;

use mnemon_engine::EngineError;
use mnemon_models::{Embedder, LlmProvider, OpenAiConfig, OpenAiEmbedder, StaticEmbedder};

use super::declared::Values;
use super::environment::Environment;
#[cfg(feature = "minilm")]
use super::minilm::LocalMiniLm;
use super::names::with_variable;
use crate::error::CliError;

/// Which embedder to use.
#[derive(Clone, Debug)]
pub(crate) enum EmbedderSettings {
    Builtin,
    #[cfg(feature = "minilm")]
    MiniLm(Arc<LocalMiniLm>),
    OpenAi(Box<OpenAiConfig>),
}

/// Vector lengths of known models.
const KNOWN_DIMS: [(&str, usize); 9] = [
    ("text-embedding-3-small", 1536),
    ("text-embedding-3-large", 3072),
    ("text-embedding-ada-002", 1536),
    ("all-MiniLM-L6-v2", 384),
    ("all-minilm", 384),
    ("nomic-embed-text", 768),
    ("mxbai-embed-large", 1024),
    ("bge-m3", 1024),
    ("embeddinggemma", 768),
];
/// Models with this prefix can return shorter vectors.
const SHORTENABLE: &str = "text-embedding-3-";

pub(super) fn resolve(values: &Values, environment: &Environment) -> anyhow::Result<EmbedderSettings> {
    let name = values.embedder.trim();
    let local = name == "minilm" || name.starts_with("minilm:");
    if name == "builtin" || local {
        for (key, set) in [
            ("embedder_url", values.embedder_url.is_some()),
            ("embedder_dims", values.embedder_dims > 0),
            ("embedder_headers", !values.embedder_headers.trim().is_empty()),
        ] {
            if set {
                let message =
                    format!("{key} applies to a model behind an endpoint only: set embedder to openai:MODEL as well");
                return Err(CliError::usage(message).into());
            }
        }
        return if local { minilm(name) } else { Ok(EmbedderSettings::Builtin) };
    }
    let service = name.split_once(':').map(|(service, model)| (service, model.trim()));
    let (ollama, model) = match service.filter(|(_, model)| !model.is_empty()) {
        Some(("openai", model)) => (false, model),
        Some(("ollama", model)) => (true, model),
        _ => {
            let expected = "`builtin`, `minilm`, `openai:MODEL` such as openai:text-embedding-3-small, or `ollama:MODEL` \
                            such as ollama:nomic-embed-text";
            return Err(values.invalid("embedder", expected).into());
        }
    };
    let known_as = model.rsplit('/').next().unwrap_or(model).trim_end_matches(":latest");
    let known = KNOWN_DIMS.iter().find(|(name, _)| *name == known_as).map(|(_, dims)| *dims);
    let configured = Some(values.embedder_dims as usize).filter(|dims| *dims > 0);
    let dims = configured.or(known).ok_or_else(|| {
        CliError::usage(format!(
            "the vector length of `{model}` is unknown: set {}, such as 768",
            with_variable("embedder_dims")
        ))
    })?;
    let mut config = OpenAiConfig::new(model, dims);
    config.send_dims = model.contains(SHORTENABLE) && Some(dims) != known;
    let (url, key) = if ollama { ("OLLAMA_BASE_URL", "OLLAMA_API_KEY") } else { ("OPENAI_BASE_URL", "OPENAI_API_KEY") };
    if ollama {
        config.base_url = LlmProvider::Ollama.default_url().to_owned();
    }
    if let Some(url) = super::llm::base_url(values, "embedder_url", values.embedder_url.as_deref(), environment, url)? {
        config.base_url = url;
    }
    if ollama {
        config.base_url = ollama_url(&config.base_url);
    }
    config.api_key = environment.non_blank(key);
    config.headers = super::llm::headers(values, "embedder_headers", &values.embedder_headers)?;
    let (batch_texts, max_chars) = (values.embedder_batch_texts, values.embedder_max_chars);
    if !(1..=2048).contains(&batch_texts) {
        return Err(values.invalid("embedder_batch_texts", "a number from 1 to 2048").into());
    }
    if max_chars < 100 {
        return Err(values.invalid("embedder_max_chars", "a number of at least 100").into());
    }
    (config.batch_texts, config.max_chars) = (batch_texts as usize, max_chars as usize);
    config.timeout = values.embedder_timeout;
    // Leaves time for one retry.
    config.deadline = config.timeout.saturating_mul(2);
    Ok(EmbedderSettings::OpenAi(Box::new(config)))
}

/// The base URL of Ollama's OpenAI-compatible API. The given one may be that of its native API, or of a route.
fn ollama_url(url: &str) -> String {
    let url = url.trim_matches(|char: char| char.is_whitespace() || matches!(char, '"' | '\'')).trim_end_matches('/');
    if url.contains("/v1") {
        return url.to_owned();
    }
    let routes = ["/api/embeddings", "/api/embed", "/api/chat", "/api/generate", "/api"];
    let base = routes.iter().find_map(|route| url.strip_suffix(route)).unwrap_or(url);
    format!("{}/v1", base.trim_end_matches('/'))
}

/// `minilm` or `minilm:FOLDER`.
#[cfg(feature = "minilm")]
fn minilm(name: &str) -> anyhow::Result<EmbedderSettings> {
    let folder = name.strip_prefix("minilm:").map(str::trim);
    Ok(EmbedderSettings::MiniLm(Arc::new(LocalMiniLm::new(super::minilm::folder(folder)?))))
}

#[cfg(not(feature = "minilm"))]
fn minilm(name: &str) -> anyhow::Result<EmbedderSettings> {
    Err(CliError::usage(format!("embedder is `{name}`, but this mnemon was built without the feature `minilm`")).into())
}

impl EmbedderSettings {
    /// Creates the embedder. No request is sent yet.
    pub(crate) fn build(&self) -> Result<Arc<dyn Embedder>, EngineError> {
        Ok(match self {
            Self::Builtin => Arc::new(StaticEmbedder::builtin()?),
            #[cfg(feature = "minilm")]
            Self::MiniLm(model) => model.clone(),
            Self::OpenAi(config) => Arc::new(OpenAiEmbedder::new((**config).clone())?),
        })
    }

    /// Embeds one text before a store is created, which would otherwise keep a wrong vector length or a missing model.
    pub(crate) fn check(&self, embedder: &dyn Embedder) -> Result<(), EngineError> {
        match self {
            Self::Builtin => Ok(()),
            _ => embedder.embed(&["hello"]).map(drop).map_err(EngineError::from),
        }
    }

    /// Loads a local model. An endpoint may become available later.
    pub(crate) fn load(&self) -> Result<(), EngineError> {
        match self {
            #[cfg(feature = "minilm")]
            Self::MiniLm(model) => Ok(model.load()?),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, dims: u32, variables: &[(&str, &str)]) -> anyhow::Result<EmbedderSettings> {
        let values = Values { embedder: name.into(), embedder_dims: dims, ..Values::default() };
        resolve(&values, &Environment::of(variables.iter().copied())?)
    }

    fn config(name: &str, dims: u32, variables: &[(&str, &str)]) -> OpenAiConfig {
        match resolved(name, dims, variables).unwrap() {
            EmbedderSettings::OpenAi(config) => *config,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn the_built_in_embedder_is_the_default() {
        let found =
            resolved("builtin", 0, &[("OPENAI_BASE_URL", "http://elsewhere"), ("OPENAI_API_KEY", "x")]).unwrap();
        assert!(matches!(found, EmbedderSettings::Builtin));
        assert!(resolved("builtin", 384, &[]).is_err());
    }

    #[cfg(feature = "minilm")]
    #[test]
    fn a_local_model_has_a_folder() {
        for (name, folder) in [("minilm", "models/all-MiniLM-L6-v2"), (" minilm: /srv/minilm ", "/srv/minilm")] {
            let EmbedderSettings::MiniLm(model) = resolved(name, 0, &[]).unwrap() else { panic!("{name}") };
            assert!(model.folder().ends_with(folder), "{model:?}");
            assert_eq!((model.dims(), model.fingerprint()), (384, "minilm:all-MiniLM-L6-v2:384"));
        }
        for (name, dims) in [("minilm:", 0), ("minilm", 384), ("minilml6", 0)] {
            assert!(resolved(name, dims, &[]).is_err(), "{name}");
        }
    }

    #[test]
    fn dims_are_known_or_given() {
        assert_eq!(config("openai:text-embedding-3-large", 0, &[]).dims, 3072);
        assert_eq!(config("openai:sentence-transformers/all-MiniLM-L6-v2", 0, &[]).dims, 384);
        assert_eq!(config("openai:nomic-embed-text:latest", 768, &[]).model, "nomic-embed-text:latest");
        let ollama = config("ollama:nomic-embed-text:latest", 0, &[("OPENAI_BASE_URL", "http://o/v1")]);
        assert_eq!((ollama.base_url.as_str(), ollama.dims), ("http://127.0.0.1:11434/v1", 768));
        for name in ["openai:some-model", "openai:", "openai", "ollama:", "text-embedding-3-small", ""] {
            assert!(resolved(name, 0, &[]).is_err(), "{name}");
        }
    }

    #[test]
    fn only_a_shortened_length_is_sent() {
        assert!(config("openai:text-embedding-3-small", 512, &[]).send_dims);
        assert!(!config("openai:text-embedding-3-small", 1536, &[]).send_dims);
        assert!(!config("openai:text-embedding-3-small", 0, &[]).send_dims);
        assert!(!config("openai:all-MiniLM-L6-v2", 256, &[]).send_dims);
    }

    #[test]
    fn the_url_of_ollama_may_be_that_of_its_native_api() {
        for url in [
            "http://o:1",
            "http://o:1/",
            "http://o:1/v1/",
            "'http://o:1/api'",
            "http://o:1/api/embed",
            "http://o:1/api/embeddings/",
        ] {
            let config = config("ollama:nomic-embed-text", 0, &[("OLLAMA_BASE_URL", url)]);
            assert_eq!(config.base_url, "http://o:1/v1", "{url}");
        }
    }

    #[test]
    fn headers_and_limits_are_checked() {
        let with = |change: fn(&mut Values)| {
            let mut values = Values { embedder: "openai:text-embedding-3-small".into(), ..Values::default() };
            change(&mut values);
            resolve(&values, &Environment::of(Vec::<(&str, &str)>::new()).unwrap())
        };
        let Ok(EmbedderSettings::OpenAi(config)) = with(|values| {
            values.embedder_headers = r#"{"api-key": "hush"}"#.into();
            (values.embedder_batch_texts, values.embedder_max_chars) = (10, 2000);
        }) else {
            panic!("valid settings");
        };
        assert_eq!(config.headers, [("api-key".to_owned(), "hush".to_owned())]);
        assert_eq!((config.batch_texts, config.max_chars), (10, 2000));
        assert!(!format!("{config:?}").contains("hush"));
        for change in [
            (|values: &mut Values| values.embedder_headers = "x".into()) as fn(&mut Values),
            |values| values.embedder_headers = r#"{"a": 1}"#.into(),
            |values| values.embedder_batch_texts = 0,
            |values| values.embedder_batch_texts = 2049,
            |values| values.embedder_max_chars = 99,
            |values| (values.embedder, values.embedder_headers) = ("builtin".into(), r#"{"a": "b"}"#.into()),
        ] {
            assert!(with(change).is_err());
        }
    }

    #[test]
    fn the_key_is_redacted() {
        let variables = [("OPENAI_API_KEY", "hush"), ("OPENAI_BASE_URL", "http://me:hush@localhost:1/v1?key=hush")];
        let config = config("openai:all-MiniLM-L6-v2", 0, &variables);
        assert_eq!(config.api_key.as_deref(), Some("hush"));
        let shown = format!("{config:?}");
        assert!(shown.contains("localhost:1/v1") && !shown.contains("hush"), "{shown}");
    }
}
