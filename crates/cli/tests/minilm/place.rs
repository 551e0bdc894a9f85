//! A folder of its own for each test, and the binary called in it.

use std::process::Command;

use serde_json::Value;

pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The binary with a clean environment and this folder as everything it could find.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnemon"));
        let folder = self.folder.path();
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("MNEMON_")) {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(folder).env("HOME", folder).env("MNEMON_STORE", "sqlite:store.db");
        command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CONFIG_HOME", folder.join("config"));
        command
    }

    /// The answer of a call that succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.command(&[args, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the error of a call that fails.
    pub(crate) fn fails(&self, args: &[&str]) -> (i32, Value) {
        let output = self.command(&[args, &["--json"]].concat()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        (output.status.code().unwrap(), serde_json::from_slice(&output.stderr).unwrap())
    }
}
