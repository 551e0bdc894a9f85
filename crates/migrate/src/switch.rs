//! What says which store is served, switched in one step.

use std::fs;
use std::path::Path;

use crate::rest::Rest;
use crate::state::{Switch, write_whole};
use crate::{MigrateError, Result};

impl Switch {
    /// Switches to the new store; again is the same. An alias needs the server.
    ///
    /// # Errors
    /// [`MigrateError::Io`]; [`MigrateError::Server`].
    pub(crate) fn forward(&self, server: Option<&Rest>) -> Result<()> {
        match self {
            Self::Alias { alias, now, .. } => lead(server, alias, Some(now)),
            Self::EnvFile { file, key, now, .. } => set(file, key, Some(now), Form::Env),
            Self::Settings { file, now, .. } => set(file, "store", Some(now), Form::Toml),
        }
    }

    /// Switches back to what was before.
    ///
    /// # Errors
    /// Those of [`Switch::forward`].
    pub(crate) fn back(&self, server: Option<&Rest>) -> Result<()> {
        match self {
            Self::Alias { alias, was, .. } => lead(server, alias, was.as_deref()),
            Self::EnvFile { file, key, was, .. } => set(file, key, was.as_deref(), Form::Env),
            Self::Settings { file, was, .. } => set(file, "store", was.as_deref(), Form::Toml),
        }
    }

    /// Whether another one switches the same thing.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.sides().0 == other.sides().0
    }

    /// A line for people: what, from what, to what.
    pub fn told(&self) -> String {
        let (what, was, now) = self.sides();
        format!("{what}: {} → `{now}`", was.map_or("nothing".to_owned(), |was| format!("`{was}`")))
    }

    /// [`Switch::told`] of the way back.
    pub fn describe_rollback(&self) -> String {
        let (what, was, now) = self.sides();
        format!("{what}: `{now}` → {}", was.map_or("nothing".to_owned(), |was| format!("`{was}`")))
    }

    fn sides(&self) -> (String, Option<&str>, &str) {
        match self {
            Self::Alias { alias, was, now } => (format!("alias `{alias}`"), was.as_deref(), now),
            Self::EnvFile { file, key, was, now } => (format!("{key} in {}", file.display()), was.as_deref(), now),
            Self::Settings { file, was, now } => (format!("store in {}", file.display()), was.as_deref(), now),
        }
    }
}

fn lead(server: Option<&Rest>, alias: &str, to: Option<&str>) -> Result<()> {
    match server {
        Some(server) => server.lead_alias(alias, to),
        None => Err(MigrateError::Switch(format!("alias `{alias}` can't be moved: there is no Qdrant"))),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Env,
    Toml,
}

/// The value of a key in a file of lines; `None` where it has none.
///
/// # Errors
/// [`MigrateError::Io`] but for a file that is not there.
pub fn value_in_env_file(file: &Path, key: &str) -> Result<Option<String>> {
    value(file, key, Form::Env)
}

/// The value of `store` in a settings file; `None` where it has none.
///
/// # Errors
/// [`MigrateError::Io`] but for a file that is not there.
pub fn store_in_settings(file: &Path) -> Result<Option<String>> {
    value(file, "store", Form::Toml)
}

fn read(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(MigrateError::Io { path: file.to_owned(), source }),
    }
}

fn value(file: &Path, key: &str, form: Form) -> Result<Option<String>> {
    let text = read(file)?;
    let values = top(&text, form).filter_map(|line| of_line(line, key));
    // Where a key is given twice, the last one counts in an environment file.
    Ok(values.last().map(|value| unquoted(value).to_owned()))
}

/// The lines that hold the keys looked for: before the first table, in TOML.
fn top(text: &str, form: Form) -> impl Iterator<Item = &str> {
    text.lines().take_while(move |line| form == Form::Env || !line.trim_start().starts_with('['))
}

/// What a line assigns to a key.
fn of_line<'l>(line: &'l str, key: &str) -> Option<&'l str> {
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

/// Sets or removes a key, leaving all other lines as they are.
fn set(file: &Path, key: &str, to: Option<&str>, form: Form) -> Result<()> {
    if to.is_some_and(|to| to.contains(['\n', '\r', '"'])) {
        return Err(MigrateError::Switch(format!("`{}` can't be written into {}", to.unwrap_or(""), file.display())));
    }
    let text = read(file)?;
    let kept = top(&text, form).count();
    let line = |to: &str, old: Option<&str>| match form {
        Form::Toml => format!("{key} = \"{to}\""),
        Form::Env => {
            let export = old.is_some_and(|old| old.trim_start().starts_with("export "));
            let plain = to.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c));
            let to = if plain { to.to_owned() } else { format!("\"{to}\"") };
            format!("{}{key}={to}", if export { "export " } else { "" })
        }
    };
    let mut lines: Vec<String> = Vec::new();
    let mut written = false;
    for (at, old) in text.lines().enumerate() {
        match of_line(old, key).filter(|_| at < kept) {
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
        // Before the first table, in TOML.
        lines.insert(kept.min(lines.len()), line(to, None));
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = lines.join(end);
    text.push_str(end);
    write_whole(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        let before = "# the stack\nAPI_KEYS={\"k\": \"ana\"}\n  export QDRANT_COLLECTION_NAME='mem0'  # legacy\nX=1\n";
        fs::write(&file, before).unwrap();
        let key = "QDRANT_COLLECTION_NAME";
        let was = value_in_env_file(&file, key).unwrap();
        assert_eq!(was.as_deref(), Some("mem0"));
        let switch = Switch::EnvFile { file: file.clone(), key: key.into(), was, now: "mem0_v3".into() };
        switch.forward(None).unwrap();
        switch.forward(None).unwrap();
        let after = "# the stack\nAPI_KEYS={\"k\": \"ana\"}\nexport QDRANT_COLLECTION_NAME=mem0_v3\nX=1\n";
        assert_eq!(fs::read_to_string(&file).unwrap(), after);
        switch.back(None).unwrap();
        assert_eq!(value_in_env_file(&file, key).unwrap().as_deref(), Some("mem0"));
    }

    #[test]
    fn lines_end_as_they_did() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        fs::write(&file, "A=1\r\nNAME=old\r\n").unwrap();
        set(&file, "NAME", Some("new"), Form::Env).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "A=1\r\nNAME=new\r\n");
    }

    #[test]
    fn a_key_that_was_not_there_is_gone_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mnemon.toml");
        fs::write(&file, "bind = \"0.0.0.0:1\"\n[table]\nstore = \"no\"\n").unwrap();
        assert_eq!(store_in_settings(&file).unwrap(), None);
        let switch = Switch::Settings { file: file.clone(), was: None, now: "sqlite:a b.db".into() };
        switch.forward(None).unwrap();
        assert_eq!(store_in_settings(&file).unwrap().as_deref(), Some("sqlite:a b.db"));
        assert!(fs::read_to_string(&file).unwrap().ends_with("[table]\nstore = \"no\"\n"));
        switch.back(None).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "bind = \"0.0.0.0:1\"\n[table]\nstore = \"no\"\n");
    }
}
