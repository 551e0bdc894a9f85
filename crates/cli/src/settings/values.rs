//! Combines settings: flags override the environment, which overrides the settings file, which overrides defaults.

use std::fmt;
use std::path::Path;

use super::declared::{SETTINGS, Values, find};
use super::environment::Environment;
use super::file::{self, FileValue};
use super::names;
use super::setting::Setting;
use crate::args::SettingFlag;
use crate::error::CliError;

impl Values {
    /// Reads file, environment and flags over the defaults.
    pub(super) fn read(
        file: Option<&Path>,
        environment: &Environment,
        flags: &[SettingFlag<'_>],
    ) -> Result<Self, CliError> {
        let mut values = Self::default();
        if let Some(file) = file {
            values.read_file(file)?;
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            if let Some(text) = environment.get(&variable) {
                values.set(setting, text, variable)?;
            }
        }
        for (key, text) in flags {
            if let Some(setting) = find(key) {
                values.set(setting, text, setting.flag.to_owned())?;
            }
        }
        Ok(values)
    }

    fn read_file(&mut self, file: &Path) -> Result<(), CliError> {
        for entry in file::read(file)? {
            let setting = find(&entry.key)
                .ok_or_else(|| CliError::usage(format!("{}: {}", entry.origin, names::explain_key(&entry.key))))?;
            match &entry.value {
                FileValue::Text(text) => self.set(setting, text, entry.origin)?,
                FileValue::Literal(text) if !setting.quoted => self.set(setting, text, entry.origin)?,
                FileValue::Literal(text) => {
                    return Err(invalid(setting, text, Some(&entry.origin), &expected(setting, true)));
                }
                FileValue::Other(kind) => {
                    let message =
                        format!("{} is {kind} ({}); give {}", setting.key, entry.origin, expected(setting, true));
                    return Err(CliError::usage(message));
                }
            }
        }
        Ok(())
    }

    /// Sets the value that was given at `origin`.
    fn set(&mut self, setting: &Setting<Self>, text: &str, origin: String) -> Result<(), CliError> {
        (setting.set)(self, text).ok_or_else(|| invalid(setting, text, Some(&origin), &expected(setting, false)))?;
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    /// Where a setting was given: a variable, a flag, or a line of the file.
    pub(super) fn origin(&self, key: &str) -> String {
        self.origins.get(key).cloned().unwrap_or_else(|| key.to_owned())
    }

    /// The keys with this prefix that were given a value.
    pub(super) fn given(&self, prefix: &str) -> impl Iterator<Item = &'static str> {
        self.origins.keys().copied().filter(move |key| key.starts_with(prefix))
    }

    /// The error of a setting with a value that is not valid.
    pub(super) fn invalid(&self, key: &str, expected: &str) -> CliError {
        let Some(setting) = find(key) else { return CliError::usage(format!("{key} is not valid; give {expected}")) };
        let text = (setting.get)(self).unwrap_or_default();
        let origin = self.origins.get(key).map(String::as_str);
        invalid(setting, &text, origin, expected)
    }
}

/// Secret settings are shown as `[redacted]`.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Values");
        for setting in SETTINGS {
            let value = (setting.get)(self).filter(|value| !value.is_empty());
            shown.field(setting.key, &value.map(|value| if setting.secret { "[redacted]".to_owned() } else { value }));
        }
        shown.finish()
    }
}

fn invalid(setting: &Setting<Values>, text: &str, origin: Option<&str>, expected: &str) -> CliError {
    let key = setting.key;
    let text = if setting.secret { "not valid".to_owned() } else { format!("`{text}`") };
    let origin = origin.map(|origin| format!(" ({origin})")).unwrap_or_default();
    CliError::usage(format!("{key} is {text}{origin}; give {expected}"))
}

/// What to give for a setting.
fn expected(setting: &Setting<Values>, in_file: bool) -> String {
    let unit = if setting.unit.is_empty() { String::new() } else { format!(" of {}", setting.unit) };
    let quotes = if in_file && setting.quoted { " in quotes" } else { "" };
    format!("{}{unit}{quotes}", setting.expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)], flags: &[SettingFlag<'_>]) -> Result<Values, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mnemon.toml");
        std::fs::write(&path, file).unwrap();
        let environment = Environment::of(environment.iter().copied()).map_err(|error| error.to_string())?;
        let folder = format!("{}/", folder.path().display());
        Values::read(Some(&path), &environment, flags).map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn flags_override_environment_overrides_file() {
        let file = "store = \"sqlite:file\"\nuser = \"file\"\nagent = \"file\"\ncache_mb = 1";
        let environment = [("MNEMON_STORE", "sqlite:environment"), ("MNEMON_USER", "42"), ("MNEMON_CACHE_MB", "2")];
        let values = read(file, &environment, &[("store", "sqlite:flag")]).unwrap();
        assert_eq!(values.store.as_deref(), Some("sqlite:flag"));
        assert_eq!(values.user.as_deref(), Some("42"));
        assert_eq!(values.agent.as_deref(), Some("file"));
        assert_eq!((values.cache_mb, values.max_body_mb), (2, 8));
        assert!(values.origins["agent"].ends_with("mnemon.toml, line 3"));
        assert_eq!((values.origins["user"].as_str(), values.origins["store"].as_str()), ("MNEMON_USER", "--store"));
    }

    #[test]
    fn every_setting_is_read_from_file_and_environment() {
        for setting in SETTINGS {
            let text =
                ["7", "true", "7s"].into_iter().find(|text| (setting.set)(&mut Values::default(), text).is_some());
            let text = text.unwrap();
            let from_variable = read("", &[(&setting.variable(), text)], &[]).unwrap();
            let from_string = read(&format!("{} = '{text}'", setting.key), &[], &[]).unwrap();
            for values in [from_variable, from_string] {
                assert_eq!((setting.get)(&values).as_deref(), Some(text), "{}", setting.key);
                assert!(values.origins.contains_key(setting.key));
            }
            let literal = read(&format!("{} = {text}", setting.key), &[], &[]);
            assert_eq!(literal.is_err(), setting.quoted, "{}", setting.key);
        }
    }

    #[test]
    fn numbers_and_booleans_may_be_text() {
        let file = "cache_mb = \"7\"\nqdrant_on_disk = \"true\"\nllm_temperature = \"0.5\"\nllm_top_p = 1";
        let values = read(file, &[("MNEMON_RATE_LIMIT", " 9 ")], &[]).unwrap();
        assert_eq!((values.cache_mb, values.qdrant_on_disk, values.rate_limit), (7, true, 9));
        assert_eq!((values.llm_temperature, values.llm_top_p), (Some(0.5), Some(1.0)));
    }

    #[test]
    fn wrong_values_in_a_file_are_explained() {
        for (file, expected) in [
            ("cache_mb = \"much\"", "cache_mb is `much` (mnemon.toml, line 1); give a whole number of MiB"),
            ("\ncache_mb = -1", "cache_mb is `-1` (mnemon.toml, line 2); give a whole number of MiB"),
            ("cache_mb = 1.5", "cache_mb is `1.5` (mnemon.toml, line 1); give a whole number of MiB"),
            ("cache_mb = 9999999999", "cache_mb is `9999999999` (mnemon.toml, line 1); give a whole number of MiB"),
            ("cache_mb = true", "cache_mb is `true` (mnemon.toml, line 1); give a whole number of MiB"),
            ("cache_mb = [1]", "cache_mb is a list (mnemon.toml, line 1); give a whole number of MiB"),
            ("user = 42", "user is `42` (mnemon.toml, line 1); give a text in quotes"),
            ("user = \"a\"\n[embedder]\nurl = 1", "embedder is a table (mnemon.toml, line 2); give a text in quotes"),
            ("embedder.url = \"x\"", "embedder is a table (mnemon.toml, line 1); give a text in quotes"),
            ("qdrant_on_disk = 1", "qdrant_on_disk is `1` (mnemon.toml, line 1); give `true` or `false`"),
            (
                "llm_timeout = 40",
                "llm_timeout is `40` (mnemon.toml, line 1); give a time such as `60s` or `2m` in quotes",
            ),
            ("llm_timeout = \"40\"", "llm_timeout is `40` (mnemon.toml, line 1); give a time such as `60s` or `2m`"),
            ("store = 1979-05-27", "store is a date or time (mnemon.toml, line 1); give a text in quotes"),
            ("ledger = 7", "ledger is not valid (mnemon.toml, line 1); give a text in quotes"),
            ("\n\nstor = \"x\"", "mnemon.toml, line 3: `stor` is not a setting; did you mean `store`?"),
            (
                "[server]\nbind = \"x\"",
                "mnemon.toml, line 1: `server` is not a setting; docs/settings.md lists all settings",
            ),
        ] {
            assert_eq!(read(file, &[], &[]).unwrap_err(), expected, "{file}");
        }
    }

    #[test]
    fn wrong_values_elsewhere_are_explained() {
        for (name, value, expected) in [
            ("MNEMON_CACHE_MB", "lots", "cache_mb is `lots` (MNEMON_CACHE_MB); give a whole number of MiB"),
            ("MNEMON_LLM_TOP_P", "x", "llm_top_p is `x` (MNEMON_LLM_TOP_P); give a number such as 0.2"),
            ("MNEMON_QDRANT_ON_DISK", "yes", "qdrant_on_disk is `yes` (MNEMON_QDRANT_ON_DISK); give `true` or `false`"),
        ] {
            assert_eq!(read("", &[(name, value)], &[]).unwrap_err(), expected);
        }
        let values = read("llm = \"file\"", &[], &[("embedder", "x")]).unwrap();
        let error = values.invalid("embedder", "`builtin`").to_string();
        assert_eq!(error, "embedder is `x` (--embedder); give `builtin`");
        assert!(values.invalid("llm", "`none`").to_string().ends_with("mnemon.toml, line 1); give `none`"));
    }

    #[test]
    fn secrets_are_redacted() {
        let environment =
            [("MNEMON_LEDGER", "postgres://a:hush@h/d"), ("MNEMON_LLM_HEADERS", "hush"), ("MNEMON_USER", "ana")];
        let values = read("", &environment, &[]).unwrap();
        let shown = format!("{values:?} {}", values.invalid("llm_headers", "a JSON object"));
        assert!(!shown.contains("hush") && shown.contains("ana") && shown.contains("[redacted]"), "{shown}");
    }
}
