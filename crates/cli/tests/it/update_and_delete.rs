//! `mnemon update`, `delete` and `history`.

use std::path::Path;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, check_refused};

#[test]
fn update_changes_only_what_is_given() {
    let sandbox = Sandbox::new();
    let result = sandbox.run(&["add", "I live in Graz", "--user", "ana", "--name", "Ana", "-m", "topic=home"]);
    let id = result.stdout.trim();
    let before = sandbox.json(&["get", id]);

    let after = sandbox.json(&["update", id, "I live in Linz"]);
    assert_eq!(after["memory"], "I live in Linz");
    for key in ["id", "metadata", "created_at", "actor_id", "role", "session", "position"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_ne!(after["hash"], before["hash"]);

    let after = sandbox.json(&["update", id, "-m", "since=2024", "--expires", "2999-01-01"]);
    let both = json!({"topic": "home", "since": 2024});
    assert_eq!((&after["metadata"], &after["expiration_date"]), (&both, &json!("2999-01-01")));
    let after = sandbox.json(&["update", id, "--metadata", "{}", "--no-expires"]);
    assert_eq!((&after["metadata"], after.get("expiration_date")), (&both, None));
    let after = sandbox.json(&["update", id, "-m", "topic=work", "--replace-metadata"]);
    assert_eq!(after["metadata"], json!({"topic": "work"}));
    let after = sandbox.json(&["update", id, "--replace-metadata"]);
    assert_eq!(after["metadata"], Value::Null);
    for refused in ["n=18446744073709551616", "n=1e400", "AND=1", "user_id=bob"] {
        check_refused(&sandbox, &["update", id, "-m", refused], 2, refused.split('=').next().unwrap());
    }
    assert_eq!(sandbox.texts(&["search", "Linz", "--user", "ana"]), ["I live in Linz"]);
}

#[test]
fn shown_metadata_can_be_sent_back() {
    let sandbox = Sandbox::new();
    let points = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures/known_keys.points.jsonl");
    sandbox.json(&["import", &points.display().to_string()]);
    let of_owner = ["--user", "every"];
    let results = |command: &[&str]| {
        let answer = sandbox.json(&[command, &of_owner].concat());
        let results = answer["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), 4, "{command:?}");
        results
    };
    let mut shown = results(&["list"]);
    shown.extend(results(&["list", "--all"]));
    shown.extend(results(&["search", "every known key of the platform", "--threshold", "0"]));
    for id in ["1000001", "1000002", "1000003", "1000004"] {
        shown.push(sandbox.json(&["get", id]));
    }
    for item in shown {
        let id = item["id"].as_str().unwrap();
        let metadata = item["metadata"].to_string();
        let updated = sandbox.json(&["update", id, "--metadata", &metadata]);
        for (key, value) in updated.as_object().unwrap().iter().filter(|(key, _)| *key != "updated_at") {
            assert_eq!(value, &item[key], "{key} of {item}");
        }
    }
    let known = sandbox.json(&["get", "1000001"]);
    assert_eq!(known["metadata"], json!({"topic": "keys", "metadata": {"data": "nested"}}));
    assert_eq!((&known["memory_type"], &known["source_messages"]), (&json!("procedural_memory"), &json!(["m1", "m2"])));
}

#[test]
fn history_remains_after_deletion() {
    let sandbox = Sandbox::new();
    let id = sandbox.add("ana", "I live in Graz");
    sandbox.json(&["update", &id, "I live in Linz"]);
    assert_eq!(sandbox.json(&["delete", &id]), json!({"deleted": 1}));
    sandbox.snapshot_json("history", &sandbox.json(&["history", &id]));
    let output = sandbox.run(&["history", &id]).stdout;
    let events: Vec<&str> = output.lines().map(|line| &line[21..]).collect();
    assert_eq!(events, ["ADD     I live in Graz", "UPDATE  I live in Linz", "DELETE  I live in Linz"]);
    check_refused(&sandbox, &["get", &id], 2, "not found");
    check_refused(&sandbox, &["delete", &id], 2, "not found");
    check_refused(&sandbox, &["update", &id, "x"], 2, "not found");
}

#[test]
fn delete_all_affects_one_scope_only() {
    let sandbox = Sandbox::new();
    for user in ["ana", "bea", "ana-maria"] {
        sandbox.add(user, &format!("of {user}"));
    }
    sandbox.run(&["add", "of a run", "--user", "ana", "--run", "r1"]);
    let unasked = ["delete", "--all", "--user", "ana"];
    check_refused(&sandbox, &unasked, 4, "Nothing was deleted");
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]).len(), 2);

    assert_eq!(sandbox.json(&["delete", "--all", "--user", "ana", "--run", "r1", "--yes"]), json!({"deleted": 1}));
    let result = sandbox.run(&["delete", "--all", "--user", "ana", "--yes"]);
    assert_eq!((result.code, result.stdout.as_str()), (0, "deleted 1 memory\n"));
    assert_eq!(sandbox.texts(&["list"]), ["of ana-maria", "of bea"]);
    assert_eq!(sandbox.json(&["delete", "--all", "--user", "nobody", "--yes"]), json!({"deleted": 0}));
}

#[test]
fn delete_all_ignores_default_scopes() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "of ana");
    let output = sandbox.command(&["delete", "--all", "--yes"]).env("MNEMON_USER", "ana").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(sandbox.texts(&["list"]), ["of ana"]);
}

#[test]
fn invalid_arguments_are_explained() {
    let sandbox = Sandbox::new();
    let id = sandbox.add("ana", "x");
    for (args, hint) in [
        (&["update", &id][..], "nothing to change"),
        (&["update", &id, " "], "empty"),
        (&["update", &id, "-m", "hash=1"], "hash"),
        (&["update", &id, "--expires", "2999-01-01", "--no-expires"], "cannot be used with"),
        (&["update", "nonsense", "y"], "UUID"),
        (&["delete"], "ID"),
        (&["delete", &id, "--all"], "cannot be used with"),
        (&["delete", "--all"], "--user"),
        (&["delete", "--all", "--user", "*", "--yes"], "name one id"),
    ] {
        check_refused(&sandbox, args, 2, hint);
    }
    assert_eq!(sandbox.texts(&["list"]), ["x"]);
}
