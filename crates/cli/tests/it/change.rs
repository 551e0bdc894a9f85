//! `update`, `delete`, `history`: what changes, and what is left of it.

use serde_json::{Value, json};

use crate::place::{Place, check_refused};

#[test]
fn what_is_named_changes_and_the_rest_stays() {
    let place = Place::new();
    let ran = place.run(&["add", "I live in Graz", "--user", "ana", "--name", "Ana", "-m", "topic=home"]);
    let id = ran.stdout.trim();
    let before = place.json(&["get", id]);

    let after = place.json(&["update", id, "I live in Linz"]);
    assert_eq!(after["memory"], "I live in Linz");
    for key in ["id", "metadata", "created_at", "actor_id", "role", "session", "position"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_ne!(after["hash"], before["hash"]);

    let after = place.json(&["update", id, "-m", "since=2024", "--expires", "2999-01-01"]);
    assert_eq!((&after["metadata"], &after["expiration_date"]), (&json!({"since": 2024}), &json!("2999-01-01")));
    let after = place.json(&["update", id, "--metadata", "{}", "--no-expires"]);
    assert_eq!((&after["metadata"], after.get("expiration_date")), (&Value::Null, None));
    assert_eq!(place.texts(&["search", "Linz", "--user", "ana"]), ["I live in Linz"]);
}

#[test]
fn the_history_outlives_the_memory() {
    let place = Place::new();
    let id = place.add("ana", "I live in Graz");
    place.json(&["update", &id, "I live in Linz"]);
    assert_eq!(place.json(&["delete", &id]), json!({"deleted": 1}));
    place.snapshot_json("history", &place.json(&["history", &id]));
    let told = place.run(&["history", &id]).stdout;
    let events: Vec<&str> = told.lines().map(|line| &line[21..]).collect();
    assert_eq!(events, ["ADD     I live in Graz", "UPDATE  I live in Linz", "DELETE  I live in Linz"]);
    check_refused(&place, &["get", &id], 2, "not found");
    check_refused(&place, &["delete", &id], 2, "not found");
    check_refused(&place, &["update", &id, "x"], 2, "not found");
}

#[test]
fn deleting_all_of_somebody_leaves_everybody_else() {
    let place = Place::new();
    for user in ["ana", "bea", "ana-maria"] {
        place.add(user, &format!("of {user}"));
    }
    place.run(&["add", "of a run", "--user", "ana", "--run", "r1"]);
    let unasked = ["delete", "--all", "--user", "ana"];
    check_refused(&place, &unasked, 4, "Nothing was deleted");
    assert_eq!(place.texts(&["list", "--user", "ana"]).len(), 2);

    assert_eq!(place.json(&["delete", "--all", "--user", "ana", "--run", "r1", "--yes"]), json!({"deleted": 1}));
    let ran = place.run(&["delete", "--all", "--user", "ana", "--yes"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "deleted 1 memory\n"));
    assert_eq!(place.texts(&["list"]), ["of ana-maria", "of bea"]);
    assert_eq!(place.json(&["delete", "--all", "--user", "nobody", "--yes"]), json!({"deleted": 0}));
}

#[test]
fn defaults_do_not_say_whose_memories_are_deleted() {
    let place = Place::new();
    place.add("ana", "of ana");
    let output = place.command(&["delete", "--all", "--yes"]).env("MNEMON_USER", "ana").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(place.texts(&["list"]), ["of ana"]);
}

#[test]
fn wrong_calls_say_what_is_right() {
    let place = Place::new();
    let id = place.add("ana", "x");
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
        check_refused(&place, args, 2, hint);
    }
    assert_eq!(place.texts(&["list"]), ["x"]);
}
