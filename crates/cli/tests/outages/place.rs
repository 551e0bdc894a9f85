//! A ledger and a store, and processes of Mnemon on them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use mnemon_testbed::{Database, Guarded, Qdrant, fresh_database};
use serde_json::Value;

/// The collection that every test uses, on servers of its own.
pub(crate) const COLLECTION: &str = "outages";

/// Where the ledger is.
#[derive(Clone, Copy)]
pub(crate) enum Ledger {
    Sqlite,
    Postgres,
}

/// What all processes of Mnemon on one store share.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    store: String,
    /// `None` for a ledger in the folder.
    database: Option<Database>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Place {
    pub(crate) fn new(servers: &[&Qdrant], ledger: Ledger) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts: Vec<&str> = servers.iter().map(|server| server.grpc_url().trim_start_matches("http://")).collect();
        let store = format!("qdrant:http://{}/{COLLECTION}", hosts.join(","));
        let database = match ledger {
            Ledger::Sqlite => None,
            Ledger::Postgres => Some(fresh_database().unwrap()),
        };
        Self { folder, store, database, variables: Vec::new() }
    }

    /// The same, with a setting.
    pub(crate) fn with(mut self, variable: &'static str, value: &'static str) -> Self {
        self.variables.push((variable, value));
        self
    }

    /// The binary, out of reach of the machine's own settings.
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
        // What is refused while a server is away would fill the screen.
        command.env("MNEMON_LOG", "off").env("MNEMON_AUTH", "off").arg("--json").envs(self.variables.iter().copied());
        command
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn serve(&self) -> Served {
        let mut command = self.command();
        command.args(["serve", "--bind", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Guarded::start(&mut command, self.folder.path());
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("mnemon does not start: {line}"));
        Served { url: said["listening"].as_str().unwrap().to_owned(), _process: process }
    }

    /// What `mnemon doctor` finds.
    pub(crate) fn findings(&self) -> Vec<Value> {
        let output = self.command().arg("doctor").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(&told)
            .unwrap_or_else(|_| panic!("doctor: {told}{}", String::from_utf8_lossy(&output.stderr)));
        answer["findings"].as_array().unwrap().clone()
    }
}

/// A server process; SIGKILL when dropped.
pub(crate) struct Served {
    pub(crate) url: String,
    _process: Guarded,
}

impl Served {
    pub(crate) fn kill(self) {
        drop(self);
    }
}
