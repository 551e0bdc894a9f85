//! The binary in a temporary folder, isolated from the settings of the machine.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;

/// A temporary folder with a store.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

/// Exit code and output of a command.
pub(crate) struct CommandResult {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// The binary with a clean environment, in this folder, with these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::from_std(self.std_command());
        command.args(args);
        command
    }

    /// The same without arguments, as a command of the standard library, which can be spawned.
    pub(crate) fn std_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mnemon"));
        let folder = self.folder.path();
        command.current_dir(folder).env("HOME", folder).env("MNEMON_STORE", "sqlite:store.db");
        command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CONFIG_HOME", folder.join("config"));
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("MNEMON_"));
            if ours && name != "MNEMON_STORE" {
                command.env_remove(name);
            }
        }
        command.env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL");
        command.env_remove("API_KEYS").env_remove("ADMIN_API_KEY").env_remove("MEM0_API_KEY");
        command.env_remove("COLUMNS").env_remove("CLICOLOR_FORCE");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandResult {
        CommandResult::of(&mut self.command(args))
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> CommandResult {
        CommandResult::of(self.command(args).write_stdin(stdin))
    }

    /// Runs with `--json` and returns the output of a command that succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let result = self.run(&[args, &["--json"]].concat());
        assert_eq!((result.code, result.stderr.as_str()), (0, ""), "{args:?}");
        serde_json::from_str(&result.stdout).unwrap()
    }

    /// Runs with `--json` and returns exit code and error of a command that fails.
    pub(crate) fn json_error(&self, args: &[&str]) -> (i32, Value) {
        let result = self.run(&[args, &["--json"]].concat());
        assert_ne!(result.code, 0, "{args:?}");
        (result.code, serde_json::from_str(&result.stderr).unwrap())
    }

    /// Adds a memory of a user and returns its id.
    pub(crate) fn add(&self, user: &str, text: &str) -> String {
        let answer = self.json(&["add", text, "--user", user]);
        answer["results"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The texts of the memories that a command lists or finds.
    pub(crate) fn texts(&self, args: &[&str]) -> Vec<String> {
        let answer = self.json(args);
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|item| item["memory"].as_str().unwrap().to_owned()).collect()
    }

    /// Compares with the stored snapshot, without ids, times, measured values and the folder.
    pub(crate) fn snapshot(&self, name: &str, text: &str) {
        let text = text.replace(&self.folder.path().display().to_string(), "[folder]");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("../it/snapshots");
        settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[id]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "[time]");
        settings.add_filter(r#""(score|raw_score|value|weight|bytes)": [-\d.e]+"#, r#""$1": [number]"#);
        settings.add_filter(r#""[0-9a-f]+-[0-9a-f]+""#, r#""[cursor]""#);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }

    pub(crate) fn snapshot_json(&self, name: &str, value: &Value) {
        self.snapshot(name, &format!("{value:#}"));
    }
}

impl CommandResult {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Checks that a command fails with this exit code, prints nothing on stdout and an error with this text on stderr, both as text
/// and as JSON.
#[track_caller]
pub(crate) fn check_refused(sandbox: &Sandbox, args: &[&str], code: i32, text: &str) {
    let result = sandbox.run_with(args, "");
    assert_eq!((result.code, result.stdout.as_str()), (code, ""), "{args:?}: {}", result.stderr);
    assert!(result.stderr.starts_with("error: ") && result.stderr.contains(text), "{args:?}: {}", result.stderr);

    let result = sandbox.run_with(&[args, &["--json"]].concat(), "");
    assert_eq!((result.code, result.stdout.as_str()), (code, ""), "{args:?}: {}", result.stderr);
    let error: Value = serde_json::from_str(&result.stderr).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains(text) && !message.contains('\n'), "{args:?}: {message}");
    assert!(error["error"]["code"].as_str().is_some_and(|code| !code.is_empty()), "{error}");
}
