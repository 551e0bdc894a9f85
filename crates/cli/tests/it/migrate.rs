//! `mnemon migrate` where there is no server of Qdrant: from snapshot files.

use std::path::Path;

use serde_json::Value;

use crate::place::Place;
use crate::serve::Served;

fn snapshot(name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrate/tests/fixtures");
    fixtures.join(format!("{name}.snapshot")).display().to_string()
}

#[test]
fn a_rehearsal_is_one_command() {
    let place = Place::new();
    for (name, points) in [("legacy_v0", 219), ("legacy_v1", 204), ("legacy_quirks", 78)] {
        let report = place.path("report.md").display().to_string();
        let ran = place.run(&["migrate", "rehearse", "--snapshot", &snapshot(name), "--report", &report]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        assert!(ran.stdout.contains("**GREEN: nothing is lost**"), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("carried over: {points} points")), "{}", ran.stdout);
        // What an operator reads in two minutes.
        assert!(ran.stdout.lines().count() < 80, "{}", ran.stdout);
        assert_eq!(std::fs::read_to_string(report).unwrap(), ran.stdout);
    }
    // A copy was migrated: nothing but the report is left.
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 1);
}

#[test]
fn a_snapshot_becomes_a_store() {
    let place = Place::new();
    let (legacy, migrate) = (snapshot("legacy_v1"), |phase: &'static str| ["migrate", phase]);
    let route = ["--snapshot", &legacy, "--to", "sqlite:new.db"];
    let planned = place.json(&[&migrate("run")[..], &route, &["--dry-run"]].concat());
    assert_eq!(planned["phases"].as_array().unwrap().len(), 5, "{planned}");
    assert!(!place.path("mnemon-migration").exists());
    let found = place.json(&[&migrate("preflight")[..], &route].concat());
    assert_eq!(found["points"], 204, "{found}");
    let counts = std::fs::read_to_string(place.path("mnemon-migration/pre-cutover-counts.txt")).unwrap();
    assert!(counts.lines().any(|line| line == "user-06: 28"), "{counts}");
    let history = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures/legacy_v1.history.db");
    let rebuilt = place.json(&[&migrate("rebuild")[..], &["--history", &history.display().to_string()]].concat());
    assert_eq!(rebuilt["history_rows"], 222, "{rebuilt}");
    place.json(&migrate("verify"));
    let events = place.json(&["history", "f1fc4031-333c-4f9d-849a-7c79f14ee454", "--store", "sqlite:new.db"]);
    assert_eq!(events.as_array().map(Vec::len), Some(2), "{events}");
    place.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
    place.json(&[&migrate("cutover")[..], &["--settings", "mnemon.toml", "--no-smoke"]].concat());
    let settings = std::fs::read_to_string(place.path("mnemon.toml")).unwrap();
    assert!(settings.contains("new.db"), "{settings}");
    let listed = place.json(&["list", "--all", "--user", "user-06", "--store", "sqlite:new.db"]);
    assert_eq!(listed["results"].as_array().unwrap().len(), 28);
}

#[test]
fn a_running_backend_is_asked_for_its_counts() {
    let place = Place::new();
    place.json(&["add", "Not in the snapshot.", "--user", "ana", "--store", "sqlite:other.db"]);
    let served = Served::start(&place.path("other.db"));
    let port = served.address.rsplit(':').next().unwrap();
    let legacy = snapshot("legacy_v1");
    let mut command =
        place.command(&["migrate", "preflight", "--snapshot", &legacy, "--to", "sqlite:new.db", "--json"]);
    command.args(["--legacy-url", &format!("http://127.0.0.1:{port}/")]);
    command.env("API_KEYS", r#"{"ka": "ana", "admin-key": {"role": "admin"}}"#);
    let output = command.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{found}");
    assert!(found["counts_differ"].to_string().contains("ana"), "{found}");
}
