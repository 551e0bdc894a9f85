//! Real, unmodified mem0 clients, the tour of the server with curl, and the examples, each against a `mnemon serve` of its
//! own. `compat/setup.sh` installs the clients; what needs a program that is missing is ignored, not passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod examples;
#[path = "../shared/listening.rs"]
mod listening;
mod tour;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mnemon_testbed::trials::{Failed, Trials};
use serde_json::Value;

/// Clients: name, program and script.
const CLIENTS: [(&str, &str, &str); 6] = [
    ("python_2_sync", ".venv-2/bin/python", "sync.py"),
    ("python_2_async", ".venv-2/bin/python", "async_client.py"),
    ("python_1_sync", ".venv-1/bin/python", "sync.py"),
    ("python_1_async", ".venv-1/bin/python", "async_client.py"),
    ("mem0_cli", ".venv-2/bin/python", "cli.py"),
    ("node", "node", "node.mjs"),
];

fn main() {
    let mut trials = Trials::new();
    for (name, program, script) in CLIENTS {
        let installed = match program {
            "node" => folder().join("node_modules/mem0ai").is_dir() && on_path("node"),
            program => folder().join(program).exists(),
        };
        let missing = format!("{name}: run compat/setup.sh to install the client");
        trials.add_fallible(name, (!installed).then_some(&*missing), move || run(program, script));
    }
    let missing = (!on_path("curl")).then_some("tour: curl is not on the path");
    trials.add_fallible("tour_with_curl", missing, tour::run);
    examples::add_tests(&mut trials);
    trials.run();
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat").canonicalize().unwrap()
}

/// A server with keys for alice, bob and an admin; killed when dropped.
struct ServerProcess {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl ServerProcess {
    fn start(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mnemon"))
            .args(["--json", "--store"])
            .arg(format!("sqlite:{}", folder.path().join("m.db").display()))
            .args(["serve", "--bind", "127.0.0.1:0"])
            .env("API_KEYS", keys)
            .env("ADMIN_API_KEY", "adm")
            .env("MNEMON_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let url = listening::url(child.stdout.take().unwrap());
        Self { child, url, _folder: folder }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client's script. Each of its steps prints one line of JSON.
fn run(program: &str, script: &str) -> Result<(), Failed> {
    let server = ServerProcess::start(r#"{"ka": "alice", "kb": "bob"}"#);
    let program = if program == "node" { PathBuf::from(program) } else { folder().join(program) };
    let output = Command::new(program)
        .arg(script)
        .current_dir(folder())
        .env("BASE_URL", &server.url)
        .env("API_KEY", "ka")
        .env("OTHER_KEY", "kb")
        .env("ADMIN_KEY", "adm")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let steps: Vec<Value> = printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed: Vec<String> = steps.iter().filter(|step| step["ok"] == false).map(Value::to_string).collect();
    let passed = steps.iter().filter(|step| step["ok"] == true).count();
    println!("{script}: {passed} of {} steps passed", steps.len());
    if failed.is_empty() && output.status.success() && passed > 10 {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{passed} passed, {} failed:\n{}\n{errors}", failed.len(), failed.join("\n")).into())
}
