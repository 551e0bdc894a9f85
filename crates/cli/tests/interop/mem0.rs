//! A process of Python mem0.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The tested versions.
pub(crate) const VERSIONS: [&str; 2] = ["2.0", "2.2"];

/// A process of mem0, which ends when this is dropped. Its log goes to stderr.
pub(crate) struct Mem0 {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/interop")
}

/// Whether `compat/interop/setup.sh` has installed a version completely.
pub(crate) fn is_installed(version: &str) -> bool {
    folder().join(format!(".venv-{version}/installed.txt")).exists()
}

impl Mem0 {
    pub(crate) fn start(version: &str, qdrant: &str, collection: &str, embedder: &str) -> Self {
        Self::run(version, &[qdrant, collection, embedder])
    }

    /// Starts mem0 with a language model behind an endpoint.
    pub(crate) fn start_with(version: &str, qdrant: &str, collection: &str, embedder: &str, llm: &str) -> Self {
        Self::run(version, &[qdrant, collection, embedder, "", llm])
    }

    fn run(version: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(folder().join(format!(".venv-{version}/bin/python")))
            .arg(folder().join("driver.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut mem0 = Self { child, commands, answers };
        let started = mem0.answer().unwrap();
        assert!(started["version"].as_str().unwrap().starts_with(version), "{started}");
        mem0
    }

    /// Runs a command of the driver; an exception is an error.
    pub(crate) fn try_ask(&mut self, command: Value) -> Result<Value, String> {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{command}").unwrap();
        commands.flush().unwrap();
        self.answer()
    }

    /// Runs a command that must succeed.
    pub(crate) fn ask(&mut self, command: Value) -> Value {
        let text = command.to_string();
        self.try_ask(command).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Adds one memory of a user and returns its id.
    pub(crate) fn add(&mut self, user: &str, text: &str, metadata: Value) -> String {
        let added = self.ask(json!({"op": "add", "text": text, "user_id": user, "metadata": metadata}));
        added["results"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The point of a memory.
    pub(crate) fn point(&mut self, id: &str) -> Option<Value> {
        let raw = self.ask(json!({"op": "raw"}));
        raw["memories"].as_array().unwrap().iter().find(|point| point["id"] == id).cloned()
    }

    /// The entities as `(text, ids of memories)`, sorted.
    pub(crate) fn entities(&mut self) -> Vec<(String, Vec<String>)> {
        let raw = self.ask(json!({"op": "raw"}));
        let entity = |point: &Value| {
            let ids = point["payload"]["linked_memory_ids"].as_array().unwrap().iter();
            let text = point["payload"]["data"].as_str().unwrap().to_owned();
            (text, ids.map(|id| id.as_str().unwrap().to_owned()).collect())
        };
        let mut entities: Vec<_> = raw["entities"].as_array().into_iter().flatten().map(entity).collect();
        entities.sort();
        entities
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        if answer["ok"] == true { Ok(answer["result"].take()) } else { Err(answer.to_string()) }
    }
}

impl Drop for Mem0 {
    fn drop(&mut self) {
        // mem0 removes its files at the end of its input.
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}
