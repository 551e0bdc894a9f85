//! The setting that names the store in use, and its switch to the new store and back.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{MigrateError, Result};
use crate::files::replace_file;
use crate::outputs::{check_folder, parent};
use crate::qdrant_rest::QdrantRest;

/// The setting that names the store in use, with its old and new value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Switch {
    /// A Qdrant alias.
    Alias {
        /// The alias.
        alias: String,
        /// The collection of the alias before; `None` if the alias did not exist.
        was: Option<String>,
        /// The new collection of the alias.
        now: String,
    },
    /// A variable in a file with `KEY=value` lines.
    EnvFile {
        /// The file.
        file: PathBuf,
        /// The variable.
        key: String,
        /// Its value before; `None` if it was not set.
        was: Option<String>,
        /// Its new value.
        now: String,
    },
    /// The key `store` in the settings file of Mnemon.
    Settings {
        /// The file.
        file: PathBuf,
        /// Its value before; `None` if it was not set.
        was: Option<String>,
        /// Its new value.
        now: String,
    },
}

impl Switch {
    /// Sets the new value. Idempotent. An alias needs the server.
    ///
    /// # Errors
    /// [`MigrateError::Io`]; [`MigrateError::Server`].
    pub(crate) fn apply(&self, server: Option<&QdrantRest>) -> Result<()> {
        match self {
            Self::Alias { alias, now, .. } => set_alias(server, alias, Some(now)),
            Self::EnvFile { file, key, now, .. } => set_value(file, key, Some(now), FileFormat::Env),
            Self::Settings { file, now, .. } => set_value(file, "store", Some(now), FileFormat::Toml),
        }
    }

    /// Sets the old value again.
    ///
    /// # Errors
    /// As [`Switch::apply`].
    pub(crate) fn revert(&self, server: Option<&QdrantRest>) -> Result<()> {
        match self {
            Self::Alias { alias, was, .. } => set_alias(server, alias, was.as_deref()),
            Self::EnvFile { file, key, was, .. } => set_value(file, key, was.as_deref(), FileFormat::Env),
            Self::Settings { file, was, .. } => set_value(file, "store", was.as_deref(), FileFormat::Toml),
        }
    }

    /// Checks that the value can be set, without setting it. An alias needs the server.
    ///
    /// # Errors
    /// [`MigrateError::Io`] if the folder of the file can't be written, because the file is replaced;
    /// [`MigrateError::SwitchFailed`] if a collection has the name of the alias.
    pub(crate) fn check(&self, server: Option<&QdrantRest>) -> Result<()> {
        match (self, server) {
            (Self::EnvFile { file, .. } | Self::Settings { file, .. }, _) => {
                let real = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
                check_folder(parent(&real))
            }
            (Self::Alias { alias, .. }, Some(server)) if server.collections()?.contains(alias) => {
                Err(MigrateError::SwitchFailed(format!("`{alias}` is a collection, so it can't be an alias")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the other switch is for the same setting.
    pub(crate) fn is_same_setting(&self, other: &Self) -> bool {
        self.parts().0 == other.parts().0
    }

    /// The setting with its old and new value, for messages.
    pub fn describe(&self) -> String {
        let (what, was, now) = self.parts();
        format!("{what}: {} → `{now}`", was.map_or("nothing".to_owned(), |was| format!("`{was}`")))
    }

    /// As [`Switch::describe`], in the direction of a rollback.
    pub fn describe_rollback(&self) -> String {
        let (what, was, now) = self.parts();
        format!("{what}: `{now}` → {}", was.map_or("nothing".to_owned(), |was| format!("`{was}`")))
    }

    fn parts(&self) -> (String, Option<&str>, &str) {
        match self {
            Self::Alias { alias, was, now } => (format!("alias `{alias}`"), was.as_deref(), now),
            Self::EnvFile { file, key, was, now } => (format!("{key} in {}", file.display()), was.as_deref(), now),
            Self::Settings { file, was, now } => (format!("store in {}", file.display()), was.as_deref(), now),
        }
    }
}

fn set_alias(server: Option<&QdrantRest>, alias: &str, to: Option<&str>) -> Result<()> {
    match server {
        Some(server) => server.set_alias(alias, to),
        None => Err(MigrateError::SwitchFailed(format!(
            "alias `{alias}` can't be switched: the source is not on a Qdrant server"
        ))),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum FileFormat {
    Env,
    Toml,
}

/// The value of a variable in a file with `KEY=value` lines; `None` if it is not set.
///
/// # Errors
/// [`MigrateError::Io`], but not for a missing file.
pub fn value_in_env_file(file: &Path, key: &str) -> Result<Option<String>> {
    value(file, key, FileFormat::Env)
}

/// The value of `store` in a settings file; `None` if it is not set.
///
/// # Errors
/// [`MigrateError::Io`], but not for a missing file.
pub fn store_in_settings(file: &Path) -> Result<Option<String>> {
    value(file, "store", FileFormat::Toml)
}

fn read(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(MigrateError::Io { path: file.to_owned(), source }),
    }
}

fn value(file: &Path, key: &str, format: FileFormat) -> Result<Option<String>> {
    let text = read(file)?;
    let values = root_lines(&text, format).filter_map(|line| value_in_line(line, key));
    // If a key is set twice in an environment file, the last one is used.
    Ok(values.last().map(|value| unquoted(value).to_owned()))
}

/// The lines that can set a key of the root: in TOML those before the first table.
fn root_lines(text: &str, format: FileFormat) -> impl Iterator<Item = &str> {
    text.lines().take_while(move |line| format == FileFormat::Env || !line.trim_start().starts_with('['))
}

/// The value that a line assigns to a key.
fn value_in_line<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let rest = line.strip_prefix(key)?.trim_start();
    Some(rest.strip_prefix('=')?.trim())
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.split(quote).next()) {
            return inner;
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end()
}

/// Sets or removes a key. All other lines stay as they are.
fn set_value(file: &Path, key: &str, to: Option<&str>, format: FileFormat) -> Result<()> {
    if to.is_some_and(|to| to.contains(['\n', '\r', '"'])) {
        return Err(MigrateError::SwitchFailed(format!(
            "the value `{}` can't be written to {}",
            to.unwrap_or(""),
            file.display()
        )));
    }
    let text = read(file)?;
    let root = root_lines(&text, format).count();
    let line = |to: &str, old: Option<&str>| match format {
        FileFormat::Toml => format!("{key} = \"{to}\""),
        FileFormat::Env => {
            let export = old.is_some_and(|old| old.trim_start().starts_with("export "));
            let plain = to.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
            let to = if plain { to.to_owned() } else { format!("\"{to}\"") };
            format!("{}{key}={to}", if export { "export " } else { "" })
        }
    };
    let mut lines: Vec<String> = Vec::new();
    let mut written = false;
    for (at, old) in text.lines().enumerate() {
        match value_in_line(old, key).filter(|_| at < root) {
            Some(_) => {
                if let Some(to) = to.filter(|_| !written) {
                    lines.push(line(to, Some(old)));
                }
                written = true;
            }
            None => lines.push(old.to_owned()),
        }
    }
    if let Some(to) = to.filter(|_| !written) {
        // In TOML, before the first table.
        lines.insert(root.min(lines.len()), line(to, None));
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = lines.join(end);
    text.push_str(end);
    replace_file(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_are_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        let before = "# the stack\nAPI_KEYS={\"k\": \"ana\"}\n  export QDRANT_COLLECTION_NAME='mem0'  # legacy\nX=1\n";
        fs::write(&file, before).unwrap();
        let key = "QDRANT_COLLECTION_NAME";
        let was = value_in_env_file(&file, key).unwrap();
        assert_eq!(was.as_deref(), Some("mem0"));
        let switch = Switch::EnvFile { file: file.clone(), key: key.into(), was, now: "mem0_v3".into() };
        switch.apply(None).unwrap();
        switch.apply(None).unwrap();
        let after = "# the stack\nAPI_KEYS={\"k\": \"ana\"}\nexport QDRANT_COLLECTION_NAME=mem0_v3\nX=1\n";
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
        switch.revert(None).unwrap();
        assert_eq!(value_in_env_file(&file, key).unwrap().as_deref(), Some("mem0"));
    }

    #[test]
    fn line_endings_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, "A=1\r\nNAME=old\r\n").unwrap();
        set_value(&file, "NAME", Some("new"), FileFormat::Env).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "A=1\r\nNAME=new\r\n");
    }

    #[test]
    fn a_new_key_is_removed_by_the_rollback() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mnemon.toml");
        fs::write(&file, "bind = \"0.0.0.0:1\"\n[table]\nstore = \"no\"\n").unwrap();
        assert_eq!(store_in_settings(&file).unwrap(), None);
        let switch = Switch::Settings { file: file.clone(), was: None, now: "sqlite:a b.db".into() };
        switch.apply(None).unwrap();
        assert_eq!(store_in_settings(&file).unwrap().as_deref(), Some("sqlite:a b.db"));
        assert!(fs::read_to_string(&file).unwrap().ends_with("[table]\nstore = \"no\"\n"));
        switch.revert(None).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "bind = \"0.0.0.0:1\"\n[table]\nstore = \"no\"\n");
    }
}
