//! The examples that talk to a server; each prints the same output.

use std::path::{Path, PathBuf};
use std::process::Command;

use mnemon_testbed::trials::{Failed, Trials};

use crate::{ServerProcess, folder, on_path};

const PRINTED: &str = "stored 2 memories\nwhere do we live? We moved to Lisbon in May.\ndeleted 2 memories\n";

/// Adds a test for each example; it is ignored if the program that runs it is missing.
pub(crate) fn add_tests(trials: &mut Trials) {
    let has_python = on_path("python3");
    let has_mem0 = folder().join(".venv-2/bin/python").exists();
    let has_tsx = on_path("node") && folder().join("node_modules/tsx").is_dir();
    let mem0 = "run compat/setup.sh to install mem0's client";
    let mut add = |name: &str, is_there: bool, missing: &str, run: fn() -> Result<(), Failed>| {
        let missing = format!("{name}: {missing}");
        trials.add_fallible(name, (!is_there).then_some(&*missing), run);
    };
    add("example_curl", on_path("curl"), "curl is not on the path", || {
        check(Command::new("sh").arg(example("curl/memory.sh")))
    });
    add("example_python_plain", has_python, "python3 is not on the path", || {
        check(Command::new("python3").arg(example("python/plain.py")))
    });
    add("example_python_mem0", has_mem0, mem0, || {
        check(Command::new(folder().join(".venv-2/bin/python")).arg(example("python/mem0_client.py")))
    });
    add("example_typescript", has_tsx, mem0, typescript);
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

/// Node looks for a module beside the file that imports it, so the example runs beside the installed client.
fn typescript() -> Result<(), Failed> {
    let beside = tempfile::tempdir()?;
    for file in ["package.json", "memory.ts"] {
        std::fs::copy(example("typescript").join(file), beside.path().join(file))?;
    }
    std::os::unix::fs::symlink(folder().join("node_modules"), beside.path().join("node_modules"))?;
    check(Command::new("node").args(["--import", "tsx", "memory.ts"]).current_dir(beside.path()))
}

/// Runs an example against a new server and compares what it prints.
fn check(example: &mut Command) -> Result<(), Failed> {
    let server = ServerProcess::start(r#"{"ka": "alice", "kb": "bob"}"#);
    let home = tempfile::tempdir()?;
    let output = example
        .env("BASE_URL", &server.url)
        .env("API_KEY", "ka")
        .env("HOME", home.path())
        .env("MEM0_DIR", home.path())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && printed == PRINTED {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}\n--- printed\n{printed}\n--- expected\n{PRINTED}\n--- stderr\n{errors}", output.status).into())
}
