//! A folder of its own for each test, and the binary called in it.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;

/// A folder with a store, out of reach of the machine's own settings.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a call left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
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

    /// The binary with a clean environment and this folder as everything it could find.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::from_std(self.bare());
        command.args(args);
        command
    }

    /// The same, to be spawned.
    pub(crate) fn bare(&self) -> std::process::Command {
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

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        Ran::of(self.command(args).write_stdin(stdin))
    }

    /// Runs with `--json` and returns the answer of a call that succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Remembers a text of a user and returns its id.
    pub(crate) fn add(&self, user: &str, text: &str) -> String {
        let answer = self.json(&["add", text, "--user", user]);
        answer["results"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Texts that a call lists or finds.
    pub(crate) fn texts(&self, args: &[&str]) -> Vec<String> {
        let answer = self.json(args);
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|item| item["memory"].as_str().unwrap().to_owned()).collect()
    }

    /// Compares with the stored snapshot: ids, times, measures and the folder are no part of it.
    pub(crate) fn snapshot(&self, name: &str, text: &str) {
        let text = text.replace(&self.folder.path().display().to_string(), "[place]");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
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

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Each call fails with the code, leaves stdout empty and says all of `hint`; with `--json` as an object.
pub(crate) fn check_refused(place: &Place, args: &[&str], code: i32, hint: &str) {
    let ran = place.run_with(args, "");
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{args:?}: {}", ran.stderr);
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(hint), "{args:?}: {}", ran.stderr);

    let ran = place.run_with(&[args, &["--json"]].concat(), "");
    assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{args:?}: {}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stderr).unwrap();
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains(hint) && !message.contains('\n'), "{args:?}: {message}");
    assert!(told["error"]["code"].as_str().is_some_and(|code| !code.is_empty()), "{told}");
}
