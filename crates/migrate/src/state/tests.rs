//! Tests of the state file.

use super::*;

/// The JSON keys must not change: a newer version continues the migration of an older one.
#[test]
fn state_files_of_older_versions_are_read() {
    let json = r#"{
        "version": 1,
        "route": {
            "from": {"kind": "collection", "grpc": ["http://q:6334"], "rest": "http://q:6333", "name": "mem0"},
            "to": {"kind": "in_place"}
        },
        "begun": true,
        "counts": {"ana": 12, "null": 1},
        "backup": ["/backups/1", "2026-03-02"],
        "ended": {
            "rebuild": {"at": "2026-01-31T23:59:58Z", "ok": true, "told": "204 memories, 298 entities"},
            "verify": {"at": "2026-01-31T23:59:59Z", "ok": true, "told": "204 memories compared, no difference"}
        },
        "switch": {"kind": "env_file", "file": "/stack/.env", "key": "NAME", "was": null, "now": "mem0_v3"},
        "switched": false
    }"#;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state.json"), json).unwrap();
    let migration = Migration::open(folder.path()).unwrap();
    assert!(migration.state.started && migration.state.is_verified() && migration.state.switch.is_some());
    // The state does not say which parts were done.
    assert!(!migration.is_done(Phase::Rebuild) && !migration.is_done(Phase::Verify));
    migration.save().unwrap();
    let written = fs::read_to_string(folder.path().join("state.json")).unwrap();
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(&written), parse(json));
}

/// A cutover of this version that was interrupted does not make up for a part that was asked for after the verify.
#[test]
fn a_part_that_was_asked_for_after_the_verify_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let mut migration = Migration::open(folder.path()).unwrap();
    let parts = Phase::Verify.parts().iter().map(|part| match part {
        Part::History => (*part, PartResult::new(PartState::LeftOut, "")),
        _ => (*part, PartResult::new(PartState::Done, "")),
    });
    migration.record_parts(Phase::Verify, true, "", parts.collect()).unwrap();
    let (file, key) = (PathBuf::from(".env"), "NAME".to_owned());
    migration.state.switch = Some(Switch::EnvFile { file, key, was: None, now: "mem0_v3".into() });
    assert!(migration.state.is_verified());
    migration.ask_for(Some(Some("history.db".into())), None).unwrap();
    assert!(!migration.state.is_verified());
}
