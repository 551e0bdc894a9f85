//! A ledger, a store, and processes of mnemon that use them.

use std::process::{Command, Stdio};

use mnemon_testbed::{ChildGuard, Database, Qdrant, fresh_database};
use serde_json::Value;

use crate::listening;

/// The collection of all tests. Each test has its own servers.
pub(crate) const COLLECTION: &str = "outages";

/// Kind of the ledger.
#[derive(Clone, Copy)]
pub(crate) enum LedgerKind {
    Sqlite,
    Postgres,
}

/// A store and a ledger that processes of mnemon share.
pub(crate) struct Deployment {
    folder: tempfile::TempDir,
    store: String,
    /// `None` for a ledger in the folder.
    database: Option<Database>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Deployment {
    pub(crate) fn new(servers: &[&Qdrant], ledger: LedgerKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts: Vec<&str> = servers.iter().map(|server| server.grpc_url().trim_start_matches("http://")).collect();
        let store = format!("qdrant:http://{}/{COLLECTION}", hosts.join(","));
        let database = match ledger {
            LedgerKind::Sqlite => None,
            LedgerKind::Postgres => Some(fresh_database().unwrap()),
        };
        Self { folder, store, database, variables: Vec::new() }
    }

    /// Adds a setting.
    pub(crate) fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.variables.push((variable, value));
        self
    }

    /// The binary, isolated from the settings of the machine.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnemon"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| ["MNEMON_", "QDRANT_"].iter().any(|ours| name.starts_with(ours))) {
                command.env_remove(name);
            }
        }
        let folder = self.folder.path();
        let ledger = match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite:{}", folder.join("ledger.db").display()),
        };
        command.current_dir(folder).env("HOME", folder);
        command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CONFIG_HOME", folder.join("config"));
        command.env("MNEMON_STORE", &self.store).env("MNEMON_LEDGER", ledger);
        // Errors during outages would flood the output.
        command.env("MNEMON_LOG", "off").env("MNEMON_AUTH", "off").arg("--json").envs(self.variables.iter().copied());
        command
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn serve(&self) -> ServerProcess {
        let mut command = self.command();
        command.args(["serve", "--bind", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = ChildGuard::start(&mut command, self.folder.path());
        let url = listening::url(process.take_stdout().unwrap());
        ServerProcess { url, _process: process }
    }

    /// The findings of `mnemon doctor`.
    pub(crate) fn findings(&self) -> Vec<Value> {
        let output = self.command().arg("doctor").output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|_| panic!("doctor: {stdout}{}", String::from_utf8_lossy(&output.stderr)));
        answer["findings"].as_array().unwrap().clone()
    }
}

/// A server process; SIGKILL when dropped.
pub(crate) struct ServerProcess {
    pub(crate) url: String,
    _process: ChildGuard,
}

impl ServerProcess {
    pub(crate) fn kill(self) {
        drop(self);
    }
}
