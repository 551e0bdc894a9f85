//! Raw settings from file, environment and flags, and their defaults.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::args::GlobalArgs;
use crate::error::CliError;

/// What a settings file may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Values {
    pub(super) store: Option<String>,
    pub(super) ledger: Option<String>,
    pub(super) user: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) run: Option<String>,
    pub(super) cache_mb: usize,
    pub(super) session_gap: String,
    pub(super) embedder: String,
    pub(super) embedder_url: Option<String>,
    pub(super) embedder_dims: u32,
    pub(super) embedder_timeout: String,
    pub(super) llm: String,
    pub(super) llm_url: Option<String>,
    pub(super) llm_temperature: Option<f64>,
    pub(super) llm_top_p: Option<f64>,
    pub(super) llm_max_tokens: u32,
    pub(super) llm_timeout: String,
    pub(super) llm_extra: String,
    pub(super) llm_headers: String,
    pub(super) llm_instructions: String,
    pub(super) reranker: String,
    pub(super) reranker_url: Option<String>,
    pub(super) models_url: Option<String>,
    pub(super) qdrant_timeout: String,
    pub(super) qdrant_retries: u32,
    pub(super) qdrant_shards: u32,
    pub(super) qdrant_replication_factor: u32,
    pub(super) qdrant_write_consistency_factor: u32,
    pub(super) qdrant_on_disk: bool,
    pub(super) qdrant_quantization: String,
    pub(super) bind: String,
    pub(super) auth: String,
    pub(super) rate_limit: u32,
    pub(super) cors_origins: String,
    pub(super) max_body_mb: usize,
    pub(super) request_timeout: String,
    pub(super) shutdown_grace: String,
    pub(super) log_format: String,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            store: None,
            ledger: None,
            user: None,
            agent: None,
            run: None,
            cache_mb: 512,
            session_gap: "30m".into(),
            embedder: "builtin".into(),
            embedder_url: None,
            embedder_dims: 0,
            embedder_timeout: "25s".into(),
            llm: "none".into(),
            llm_url: None,
            llm_temperature: None,
            llm_top_p: None,
            llm_max_tokens: 0,
            llm_timeout: "40s".into(),
            llm_extra: String::new(),
            llm_headers: String::new(),
            llm_instructions: String::new(),
            reranker: "none".into(),
            reranker_url: None,
            models_url: None,
            qdrant_timeout: "10s".into(),
            qdrant_retries: 2,
            qdrant_shards: 0,
            qdrant_replication_factor: 0,
            qdrant_write_consistency_factor: 0,
            qdrant_on_disk: false,
            qdrant_quantization: "none".into(),
            bind: "127.0.0.1:8000".into(),
            auth: "on".into(),
            rate_limit: 0,
            cors_origins: String::new(),
            max_body_mb: 8,
            request_timeout: "60s".into(),
            shutdown_grace: "30s".into(),
            log_format: "text".into(),
        }
    }
}

/// The environment variables that are read.
const VARIABLES: [&str; 39] = [
    "MNEMON_CONFIG",
    "MNEMON_STORE",
    "MNEMON_LEDGER",
    "MNEMON_USER",
    "MNEMON_AGENT",
    "MNEMON_RUN",
    "MNEMON_CACHE_MB",
    "MNEMON_SESSION_GAP",
    "MNEMON_EMBEDDER",
    "MNEMON_EMBEDDER_URL",
    "MNEMON_EMBEDDER_DIMS",
    "MNEMON_EMBEDDER_TIMEOUT",
    "MNEMON_LLM",
    "MNEMON_LLM_URL",
    "MNEMON_LLM_TEMPERATURE",
    "MNEMON_LLM_TOP_P",
    "MNEMON_LLM_MAX_TOKENS",
    "MNEMON_LLM_TIMEOUT",
    "MNEMON_LLM_EXTRA",
    "MNEMON_LLM_HEADERS",
    "MNEMON_LLM_INSTRUCTIONS",
    "MNEMON_RERANKER",
    "MNEMON_RERANKER_URL",
    "MNEMON_MODELS_URL",
    "MNEMON_QDRANT_TIMEOUT",
    "MNEMON_QDRANT_RETRIES",
    "MNEMON_QDRANT_SHARDS",
    "MNEMON_QDRANT_REPLICATION_FACTOR",
    "MNEMON_QDRANT_WRITE_CONSISTENCY_FACTOR",
    "MNEMON_QDRANT_ON_DISK",
    "MNEMON_QDRANT_QUANTIZATION",
    "MNEMON_BIND",
    "MNEMON_AUTH",
    "MNEMON_RATE_LIMIT",
    "MNEMON_CORS_ORIGINS",
    "MNEMON_MAX_BODY_MB",
    "MNEMON_REQUEST_TIMEOUT",
    "MNEMON_SHUTDOWN_GRACE",
    "MNEMON_LOG_FORMAT",
];

impl Values {
    /// Reads defaults, file, environment and flags. Each overrides the one before.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &GlobalArgs,
    ) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            figment = figment.merge(Toml::string(&text));
        }
        // Environment variables are text: `MNEMON_USER=42` is the user "42", not a number.
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        let texts_of = [
            "store",
            "ledger",
            "user",
            "agent",
            "run",
            "session_gap",
            "embedder",
            "embedder_url",
            "embedder_timeout",
            "llm",
            "llm_url",
            "llm_timeout",
            "llm_extra",
            "llm_headers",
            "llm_instructions",
            "reranker",
            "reranker_url",
            "models_url",
            "qdrant_timeout",
            "qdrant_quantization",
            "bind",
            "auth",
            "cors_origins",
            "request_timeout",
            "shutdown_grace",
            "log_format",
        ];
        for key in texts_of {
            texts.extend(environment(&variable(key)).map(|value| (key, value)));
        }
        texts.extend(flags.store.clone().map(|store| ("store", store)));
        texts.extend(flags.embedder.clone().map(|embedder| ("embedder", embedder)));
        figment = figment.merge(Serialized::defaults(texts));
        let numbers = [
            ("cache_mb", " of MiB"),
            ("max_body_mb", " of MiB"),
            ("rate_limit", " of requests per minute"),
            ("embedder_dims", " of dims"),
            ("llm_max_tokens", " of tokens"),
            ("qdrant_retries", " of retries"),
            ("qdrant_shards", " of shards"),
            ("qdrant_replication_factor", " of copies"),
            ("qdrant_write_consistency_factor", " of copies"),
        ];
        if let Some(text) = environment("MNEMON_QDRANT_ON_DISK") {
            let on_disk: bool = text
                .trim()
                .parse()
                .map_err(|_| CliError::usage(format!("MNEMON_QDRANT_ON_DISK is `{text}`; give `true` or `false`")))?;
            figment = figment.merge(Serialized::default("qdrant_on_disk", on_disk));
        }
        for key in ["llm_temperature", "llm_top_p"] {
            let name = variable(key);
            if let Some(text) = environment(&name) {
                let number: f64 = text
                    .trim()
                    .parse()
                    .map_err(|_| CliError::usage(format!("{name} is `{text}`; give a number such as 0.2")))?;
                figment = figment.merge(Serialized::default(key, number));
            }
        }
        for (key, unit) in numbers {
            let name = variable(key);
            if let Some(text) = environment(&name) {
                let number: u32 = text
                    .trim()
                    .parse()
                    .map_err(|_| CliError::usage(format!("{name} is `{text}`; give a whole number{unit}")))?;
                figment = figment.merge(Serialized::default(key, number));
            }
        }
        figment.extract().map_err(|error| {
            let source = file.map_or_else(|| "settings".to_owned(), |file| file.display().to_string());
            let text = error.to_string().replace("default.", "");
            let text = text.trim_end_matches(" in TOML source string");
            CliError::usage(format!("{source}: {text}")).into()
        })
    }
}

/// Refuses blank variables. If they counted as unset, a blank MNEMON_USER would show memories of all users.
pub(super) fn check_environment() -> Result<(), CliError> {
    for (name, value) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| VARIABLES.contains(&name));
        if ours && value.to_str().is_none_or(|value| value.trim().is_empty()) {
            let name = name.to_string_lossy();
            return Err(CliError::usage(format!("{name} is blank or not valid UTF-8: unset it, or give it a value")));
        }
    }
    Ok(())
}

fn variable(key: &str) -> String {
    format!("MNEMON_{}", key.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_FILE: &str = include_str!("../../mnemon.default.toml");

    fn parsed(text: &str) -> Values {
        Figment::from(Serialized::defaults(Values::default())).merge(Toml::string(text)).extract().unwrap()
    }

    #[test]
    fn the_shipped_file_has_the_defaults() {
        let alone: Values = Figment::from(Toml::string(DEFAULT_FILE)).extract().unwrap();
        assert_eq!(alone, Values::default());
    }

    #[test]
    fn the_examples_in_the_shipped_file_are_valid() {
        let all: Vec<&str> = DEFAULT_FILE
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = \"")).unwrap_or(line))
            .collect();
        let values = parsed(&all.join("\n"));
        assert_eq!(values.store.as_deref(), Some("sqlite:~/memories.db"));
        assert_eq!(
            [values.user.as_deref(), values.agent.as_deref(), values.run.as_deref()],
            [Some("ana"), Some("planner"), Some("run-1")]
        );
    }

    #[test]
    fn flags_override_environment_overrides_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mnemon.toml");
        std::fs::write(&file, "store = \"sqlite:file\"\nuser = \"file\"\nagent = \"file\"\ncache_mb = 1").unwrap();
        let environment = |name: &str| match name {
            "MNEMON_STORE" => Some("sqlite:environment".to_owned()),
            "MNEMON_USER" => Some("42".to_owned()),
            "MNEMON_CACHE_MB" => Some("2".to_owned()),
            _ => None,
        };
        let flags = GlobalArgs { store: Some("sqlite:flag".into()), ..GlobalArgs::default() };
        let values = Values::read(Some(&file), environment, &flags).unwrap();
        assert_eq!(values.store.as_deref(), Some("sqlite:flag"));
        assert_eq!(values.user.as_deref(), Some("42"));
        assert_eq!(values.agent.as_deref(), Some("file"));
        assert_eq!((values.cache_mb, values.session_gap.as_str()), (2, "30m"));
    }
}
