//! `mnemon migrate` from snapshot files, without a Qdrant server.

use std::path::Path;

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::serve::ServerProcess;

fn snapshot(name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrate/tests/fixtures");
    fixtures.join(format!("{name}.snapshot")).display().to_string()
}

#[test]
fn a_rehearsal_is_one_command() {
    let sandbox = Sandbox::new();
    for (name, points) in [("legacy_v0", 219), ("legacy_v1", 204), ("legacy_quirks", 78)] {
        let report = sandbox.path("report.md").display().to_string();
        let result = sandbox.run(&["migrate", "rehearse", "--snapshot", &snapshot(name), "--report", &report]);
        assert_eq!(result.code, 0, "{name}: {}", result.stderr);
        assert!(result.stdout.contains("**GREEN: nothing is lost**"), "{}", result.stdout);
        assert!(result.stdout.contains(&format!("copied: {points} points")), "{}", result.stdout);
        // Short enough to read in two minutes.
        assert!(result.stdout.lines().count() < 80, "{}", result.stdout);
        assert_eq!(std::fs::read_to_string(report).unwrap(), result.stdout);
    }
    // Only the report remains.
    assert_eq!(std::fs::read_dir(sandbox.path("")).unwrap().count(), 1);
}

#[test]
fn a_snapshot_becomes_a_store() {
    let sandbox = Sandbox::new();
    let (legacy, migrate) = (snapshot("legacy_v1"), |phase: &'static str| ["migrate", phase]);
    let route = ["--snapshot", &legacy, "--to", "sqlite:new.db"];
    let planned = sandbox.json(&[&migrate("run")[..], &route, &["--dry-run"]].concat());
    assert_eq!(planned["phases"].as_array().unwrap().len(), 5, "{planned}");
    assert!(!sandbox.path("mnemon-migration").exists());
    let found = sandbox.json(&[&migrate("preflight")[..], &route].concat());
    assert_eq!(found["points"], 204, "{found}");
    let counts = std::fs::read_to_string(sandbox.path("mnemon-migration/pre-cutover-counts.txt")).unwrap();
    assert!(counts.lines().any(|line| line == "user-06: 28"), "{counts}");
    // A snapshot is its own backup. Each phase is recorded, so the next command can be run.
    let next = || sandbox.json(&migrate("status"))["next"].as_str().unwrap().to_owned();
    assert_eq!(next(), "mnemon migrate rebuild");
    sandbox.json(&migrate("rehearse"));
    let recorded = sandbox.json(&migrate("status"));
    assert_eq!(recorded["phases"]["rehearse"]["ok"], true, "{recorded}");
    let history = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures/legacy_v1.history.db");
    let rebuilt = sandbox.json(
        &[&migrate("rebuild")[..], &["--history", &history.display().to_string(), "--without-entities"]].concat(),
    );
    assert_eq!(rebuilt["history_rows"], 222, "{rebuilt}");
    sandbox.json(&migrate("verify"));
    let events = sandbox.json(&["history", "f1fc4031-333c-4f9d-849a-7c79f14ee454", "--store", "sqlite:new.db"]);
    assert_eq!(events.as_array().map(Vec::len), Some(2), "{events}");
    sandbox.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
    sandbox
        .json(&[&migrate("cutover")[..], &["--settings", "mnemon.toml", "--no-smoke", "--without-entities"]].concat());
    let settings = std::fs::read_to_string(sandbox.path("mnemon.toml")).unwrap();
    assert!(settings.contains("new.db"), "{settings}");
    assert!(next().starts_with("nothing more"), "{}", next());
    let refused = sandbox.run(&["migrate", "retire", "--yes"]);
    assert!(refused.code == 4 && refused.stderr.contains("snapshot file"), "{}", refused.stderr);
    let listed = sandbox.json(&["list", "--all", "--user", "user-06", "--store", "sqlite:new.db"]);
    assert_eq!(listed["results"].as_array().unwrap().len(), 28);
}

#[test]
fn counts_of_a_running_backend_are_compared() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add", "Not in the snapshot.", "--user", "ana", "--store", "sqlite:other.db"]);
    let server = ServerProcess::start(&sandbox.path("other.db"));
    let port = server.address.rsplit(':').next().unwrap();
    let legacy = snapshot("legacy_v1");
    let mut command =
        sandbox.command(&["migrate", "preflight", "--snapshot", &legacy, "--to", "sqlite:new.db", "--json"]);
    command.args(["--legacy-url", &format!("http://127.0.0.1:{port}/")]);
    command.env("API_KEYS", r#"{"ka": "ana", "admin-key": {"role": "admin"}}"#);
    let output = command.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{found}");
    assert!(found["counts_differ"].to_string().contains("ana"), "{found}");
}
