//! `mnemon doctor` on a damaged store.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A sandbox with a store of two memories, damaged with SQL.
fn damaged(sql: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "Zoë lives in Porto.");
    sandbox.add("ana", "Zoë has a cat.");
    Connection::open(sandbox.path("store.db")).unwrap().execute_batch(sql).unwrap();
    sandbox
}

/// Runs `doctor`, checks its exit code and returns the output.
fn doctor(sandbox: &Sandbox, args: &[&str], code: i32) -> Value {
    let result = sandbox.run(&[&["doctor", "--json"], args].concat());
    assert_eq!((result.code, result.stderr.as_str()), (code, ""), "{}", result.stdout);
    serde_json::from_str(&result.stdout).unwrap()
}

fn checks(findings: &Value) -> Vec<(&str, u64)> {
    let has_detail = |finding: &Value| {
        assert!(finding["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{finding}");
    };
    let findings = findings.as_array().unwrap();
    findings.iter().for_each(has_detail);
    findings.iter().map(|found| (found["check"].as_str().unwrap(), found["count"].as_u64().unwrap())).collect()
}

const LINK: &str = "INSERT INTO links SELECT id, x'00', 'related', '' FROM memories";
const COUNT: &str = "UPDATE counters SET value = 99";
const SCOPE: &str = "UPDATE memories SET agent_scope = 99 WHERE slot = 1";

#[test]
fn repaired_findings_are_reported_and_fixed() {
    let sandbox = damaged(&format!("{LINK}; {COUNT}"));
    let both = [("link_to_nothing", 2), ("bm25_documents", 97)];
    let found = doctor(&sandbox, &[], 3);
    assert_eq!((&found["ok"], &found["mended"], &found["warnings"]), (&json!(false), &json!([]), &json!([])));
    assert_eq!(checks(&found["findings"]), both);
    let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "ok",
            "version",
            "settings",
            "store",
            "mended",
            "findings",
            "embedded",
            "warnings",
            "waiting",
            "waiting_reason",
            "parked",
            "reindexed",
            "joined",
            "owner_forms"
        ]
    );
    for (counted, count) in [("memories", 2), ("links", 2), ("history", 2), ("messages", 0)] {
        assert_eq!(found["store"][counted], json!(count), "{counted}");
    }

    let fixed = doctor(&sandbox, &["--fix"], 0);
    assert_eq!((&fixed["ok"], &fixed["findings"]), (&json!(true), &json!([])));
    assert_eq!(checks(&fixed["mended"]), both);
    assert_eq!((&fixed["store"]["links"], &fixed["store"]["memories"]), (&json!(0), &json!(2)));
    let again = doctor(&sandbox, &["--fix"], 0);
    assert_eq!((&again["mended"], &again["findings"]), (&json!([]), &json!([])));
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]).len(), 2);
}

#[test]
fn findings_that_cannot_be_repaired_are_reported() {
    let sandbox = damaged(&format!("{LINK}; {SCOPE}"));
    let result = sandbox.run(&["doctor"]);
    assert_eq!((result.code, result.stderr.as_str()), (3, ""), "{}", result.stdout);
    assert!(result.stdout.contains("\nfound     link_to_nothing: 2 links"), "{}", result.stdout);
    assert!(result.stdout.ends_with("`mnemon doctor --fix` repairs what can be repaired\n"), "{}", result.stdout);
    let result = sandbox.run(&["doctor", "--fix"]);
    assert_eq!((result.code, result.stderr.as_str()), (3, ""), "{}", result.stdout);
    assert!(result.stdout.contains("\nrepaired  link_to_nothing: 2 links"), "{}", result.stdout);
    assert!(result.stdout.contains("\nremaining scope_of_nothing: 1 memories"), "{}", result.stdout);
    assert_eq!(checks(&doctor(&sandbox, &[], 3)["findings"]), [("scope_of_nothing", 1)]);
}

#[test]
fn doctor_repairs_only_with_fix() {
    let sandbox = damaged(LINK);
    doctor(&sandbox, &[], 3);
    assert_eq!(sandbox.json(&["stats"])["store"]["links"], json!(2));
}
