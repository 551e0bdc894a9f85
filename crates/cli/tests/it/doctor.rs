//! `doctor` on a damaged store: what it finds, what it mends, what it leaves.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::place::Place;

/// A place with a store of two memories, damaged with SQL.
fn damaged(sql: &str) -> Place {
    let place = Place::new();
    place.add("ana", "Zoë lives in Porto.");
    place.add("ana", "Zoë has a cat.");
    Connection::open(place.path("store.db")).unwrap().execute_batch(sql).unwrap();
    place
}

/// The answer, its exit code checked.
fn doctor(place: &Place, args: &[&str], code: i32) -> Value {
    let ran = place.run(&[&["doctor", "--json"], args].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{}", ran.stdout);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn checks(findings: &Value) -> Vec<(&str, u64)> {
    let told = |finding: &Value| {
        assert!(finding["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{finding}");
    };
    let findings = findings.as_array().unwrap();
    findings.iter().for_each(told);
    findings.iter().map(|found| (found["check"].as_str().unwrap(), found["count"].as_u64().unwrap())).collect()
}

const LINK: &str = "INSERT INTO links SELECT id, x'00', 'related', '' FROM memories";
const COUNT: &str = "UPDATE counters SET value = 99";
const SCOPE: &str = "UPDATE memories SET agent_scope = 99 WHERE slot = 1";

#[test]
fn what_was_mended_is_told_and_gone() {
    let place = damaged(&format!("{LINK}; {COUNT}"));
    let both = [("link_to_nothing", 2), ("bm25_documents", 97)];
    let found = doctor(&place, &[], 3);
    assert_eq!((&found["ok"], &found["mended"], &found["warnings"]), (&json!(false), &json!([]), &json!([])));
    assert_eq!(checks(&found["findings"]), both);
    let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["ok", "version", "settings", "store", "mended", "findings", "warnings", "waiting", "waiting_reason"]
    );
    for (counted, count) in [("memories", 2), ("links", 2), ("history", 2), ("messages", 0)] {
        assert_eq!(found["store"][counted], json!(count), "{counted}");
    }

    let fixed = doctor(&place, &["--fix"], 0);
    assert_eq!((&fixed["ok"], &fixed["findings"]), (&json!(true), &json!([])));
    assert_eq!(checks(&fixed["mended"]), both);
    assert_eq!((&fixed["store"]["links"], &fixed["store"]["memories"]), (&json!(0), &json!(2)));
    let again = doctor(&place, &["--fix"], 0);
    assert_eq!((&again["mended"], &again["findings"]), (&json!([]), &json!([])));
    assert_eq!(place.texts(&["list", "--user", "ana"]).len(), 2);
}

#[test]
fn what_cannot_be_mended_is_left_and_told() {
    let place = damaged(&format!("{LINK}; {SCOPE}"));
    let ran = place.run(&["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nfound  link_to_nothing: 2 links"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("`mnemon doctor --fix` mends what can be mended\n"), "{}", ran.stdout);
    let ran = place.run(&["doctor", "--fix"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nmended link_to_nothing: 2 links"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nleft   scope_of_nothing: 1 memories"), "{}", ran.stdout);
    assert_eq!(checks(&doctor(&place, &[], 3)["findings"]), [("scope_of_nothing", 1)]);
}

#[test]
fn nothing_is_mended_unless_asked() {
    let place = damaged(LINK);
    doctor(&place, &[], 3);
    assert_eq!(place.json(&["stats"])["store"]["links"], json!(2));
}
