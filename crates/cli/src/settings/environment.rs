//! The environment variables that mnemon reads.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::declared::SETTINGS;
use super::names::{Meaning, meaning};
use crate::error::CliError;

/// The declared variables that are set, and the names of those that look like ours and are not declared.
#[derive(Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    unknown: Vec<String>,
}

impl Environment {
    /// Reads the environment of the process.
    pub(crate) fn read() -> Result<Self, CliError> {
        Self::of(std::env::vars_os())
    }

    /// Reads these variables.
    ///
    /// A misspelt name is refused. So is a blank setting: if it counted as unset, a blank MNEMON_USER would show
    /// memories of all users.
    pub(crate) fn of(
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<Self, CliError> {
        let mut environment = Self::default();
        let mut misspelt = Vec::new();
        for (name, value) in variables {
            let name = name.into().to_string_lossy().into_owned();
            match meaning(&name) {
                Meaning::Foreign => {}
                Meaning::Unknown(meant) => {
                    let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
                    environment.unknown.push(format!("{}{meant}", name.escape_debug()));
                }
                Meaning::Misspelt(meant) => misspelt.push(format!("{}: did you mean {meant}?", name.escape_debug())),
                Meaning::Declared => {
                    let Ok(value) = value.into().into_string() else {
                        let message = format!("{name} is not valid UTF-8: unset it, or give it another value");
                        return Err(CliError::usage(message));
                    };
                    let required = name == "MNEMON_CONFIG" || SETTINGS.iter().any(|setting| setting.variable() == name);
                    if required && value.trim().is_empty() {
                        return Err(CliError::usage(format!("{name} is blank: unset it, or give it a value")));
                    }
                    // Kubernetes sets QDRANT_PORT to a URL if there is a service named qdrant.
                    if !(name == "QDRANT_PORT" && value.starts_with("tcp://")) {
                        environment.variables.insert(name, value);
                    }
                }
            }
        }
        misspelt.sort();
        environment.unknown.sort();
        match misspelt.as_slice() {
            [] => Ok(environment),
            [one] => Err(CliError::usage(format!("unknown variable {one}"))),
            more => Err(CliError::usage(format!("unknown variables: {}", more.join(" ")))),
        }
    }

    /// The value of a declared variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert_eq!(meaning(name), Meaning::Declared, "{name}");
        self.variables.get(name).map(String::as_str)
    }

    /// The trimmed value of a declared variable; `None` if it is unset or blank.
    pub(crate) fn non_blank(&self, name: &str) -> Option<String> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// A warning about variables that have no effect.
    pub(super) fn warning(&self) -> Option<String> {
        (!self.unknown.is_empty()).then(|| {
            let names = self.unknown.join(", ");
            format!("no setting has the name of these variables, so they have no effect: {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_kept_warned_about_or_ignored() {
        let set = [
            ("MNEMON_USER", "ana"),
            ("API_KEYS", " {} "),
            ("OPENAI_API_KEY", " "),
            ("MNEMON_LOG", ""),
            ("MNEMON_DATABASE", "x"),
            ("MNEMON_A\nB", "x"),
            ("MNEMON_ADMIN_API_KEY", "x"),
            ("MNEMON_PORT", "tcp://10.0.0.1:8000"),
            ("MNEMON_TEST_QDRANT", "x"),
        ];
        let environment = Environment::of(set).unwrap();
        assert_eq!(environment.get("MNEMON_USER"), Some("ana"));
        assert_eq!(environment.non_blank("API_KEYS").as_deref(), Some("{}"));
        assert_eq!(environment.non_blank("OPENAI_API_KEY"), None);
        let warning = environment.warning().unwrap();
        assert!(
            warning.ends_with(": MNEMON_ADMIN_API_KEY (did you mean ADMIN_API_KEY?), MNEMON_A\\nB, MNEMON_DATABASE"),
            "{warning}"
        );
        assert_eq!(Environment::of([("HOME", "/"), ("MNEMON_USER", "ana")]).unwrap().warning(), None);
    }

    #[test]
    fn refused_variables_are_named() {
        let refused = |set: &[(&str, &str)]| Environment::of(set.iter().copied()).map(drop).unwrap_err().to_string();
        for (name, value, expected) in [
            ("MNEMON_STOR", "x", "did you mean MNEMON_STORE?"),
            ("MNEMON_STOR", "", "did you mean MNEMON_STORE?"),
            ("mnemon_user", "ana", "did you mean MNEMON_USER?"),
            ("MNEMON_USER", "", "blank"),
            ("MNEMON_CACHE_MB", " \t", "blank"),
            ("MNEMON_CONFIG", "", "blank"),
        ] {
            let message = refused(&[(name, value)]);
            assert!(message.contains(name) && message.contains(expected), "{message}");
        }
        let both = refused(&[("MNEMON_USR", "ana"), ("MNEMON_BNID", "x"), ("MNEMON_USER", "ana")]);
        assert!(
            both.contains("MNEMON_BNID: did you mean MNEMON_BIND? MNEMON_USR: did you mean MNEMON_USER?"),
            "{both}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn values_and_names_that_are_not_utf8() {
        use std::os::unix::ffi::OsStringExt;

        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        for name in ["MNEMON_USER", "MNEMON_CONFIG", "API_KEYS"] {
            let error = Environment::of([(name, bytes(b"a\xff"))]).map(drop).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("UTF-8"), "{error}");
        }
        assert!(Environment::of([(bytes(b"MNEMON_STORE\xff"), bytes(b"x"))]).is_err());
        let unknown = Environment::of([(bytes(b"MNEMON_DATABASE\xff"), bytes(b"\xff"))]).unwrap();
        assert!(unknown.warning().is_some());
        assert!(Environment::of([("OTHER", bytes(b"\xff"))]).unwrap().warning().is_none());
    }
}
