//! Settings: flags before environment before file.

use crate::place::{Place, check_refused};

#[test]
fn the_environment_says_whose_memories() {
    let place = Place::new();
    let set = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("MNEMON_USER", "42").env("MNEMON_RUN", "r1");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    set(&["add", "of 42"]);
    set(&["add", "of ana", "--user", "ana"]);
    assert_eq!(place.texts(&["list", "--user", "42", "--run", "r1"]), ["of 42"]);
    assert_eq!(place.texts(&["list", "--user", "ana", "--run", "r1"]), ["of ana"]);
    assert!(set(&["search", "of", "--json"]).contains("of 42"));
    assert!(!set(&["list"]).contains("of ana"));
    assert!(set(&["stats"]).contains("memory count  1"));
}

#[test]
fn a_file_is_found_or_named() {
    let place = Place::new();
    place.file("mnemon.toml", "user = \"ana\"\nstore = \"sqlite:ignored.db\"\n");
    let ran = place.run(&["add", "from the folder"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!place.path("ignored.db").exists());
    let named = place.file("other.toml", "user = \"bea\"\n");
    assert_eq!(place.run(&["add", "from the file named", "--config", &named]).code, 0);
    assert_eq!(place.texts(&["list", "--user", "bea"]), ["from the file named"]);
    let output = place.command(&["list", "--json"]).env("MNEMON_CONFIG", &named).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("from the file named"));
    assert!(place.json(&["doctor"])["settings"].as_str().unwrap().ends_with("mnemon.toml"));
}

#[test]
fn the_shipped_default_file_can_be_used_as_it_is() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/mnemon.default.toml");
    assert_eq!(place.run(&["add", "x", "--user", "ana", "--config", shipped]).code, 0);
    assert_eq!(place.texts(&["list"]), ["x"]);
}

#[test]
fn the_gap_parts_conversations() {
    let place = Place::new();
    let say = |time: &str, gap: &str| {
        let args = ["add", "x", "--user", "ana", "--timestamp", time, "--json"];
        let output = place.command(&args).env("MNEMON_SESSION_GAP", gap).output().unwrap();
        let added: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        place.json(&["get", added["results"][0]["id"].as_str().unwrap()])["session"].clone()
    };
    let first = say("2024-05-01T10:00:00Z", "30m");
    assert_eq!(say("2024-05-01T10:20:00Z", "30m"), first);
    let second = say("2024-05-01T11:00:00Z", "30m");
    assert_ne!(second, first);
    assert_eq!(say("2024-05-01T12:00:00Z", "2h"), second);
}

#[test]
fn without_settings_the_store_lies_in_the_data_directory() {
    let place = Place::new();
    let output = place.command(&["add", "x", "--user", "ana"]).env_remove("MNEMON_STORE").output().unwrap();
    assert!(output.status.success());
    if cfg!(target_os = "linux") {
        assert!(place.path("data/mnemon/mnemon.db").exists());
    }
}

#[test]
fn wrong_settings_say_what_is_right() {
    let place = Place::new();
    let unknown = place.file("unknown.toml", "stor = \"sqlite:x\"\n");
    let broken = place.file("broken.toml", "store = \n");
    let wrong = place.file("wrong.toml", "cache_mb = \"much\"\n");
    let gap = place.file("gap.toml", "session_gap = \"a while\"\n");
    for (args, hint) in [
        (&["list", "--store", "store.db"][..], "sqlite:PATH"),
        (&["list", "--store", "qdrant:localhost:6334/c"], "http://"),
        (&["list", "--store", "qdrant:http://localhost:6334"], "names no collection"),
        (&["list", "--store", "qdrant:http://localhost:6333/c"], "the gRPC port"),
        (&["list", "--store", "sqlite:"], "sqlite:PATH"),
        (&["list", "--config", "missing.toml"], "missing.toml"),
        (&["list", "--config", &unknown], "stor"),
        (&["list", "--config", &broken], "broken.toml"),
        (&["list", "--config", &wrong], "cache_mb"),
        (&["list", "--config", &gap], "30m"),
    ] {
        check_refused(&place, args, 2, hint);
    }
    let output = place.command(&["list"]).env("MNEMON_CACHE_MB", "lots").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = place.command(&["list"]).env("MNEMON_LEDGER", "sqlite:ledger.db").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a ledger without a store in Qdrant");
    assert!(!place.path("store.db").exists());
}

#[test]
fn a_qdrant_that_is_not_there_is_named() {
    let place = Place::new();
    // Ports that nobody listens on.
    for (name, value, told) in [
        ("MNEMON_STORE", "qdrant:http://127.0.0.1:1/c", "Qdrant at http://127.0.0.1:1 does not answer"),
        ("QDRANT_HOST", "127.0.0.1", "Qdrant at http://127.0.0.1:3 does not answer"),
    ] {
        let mut command = place.command(&["list"]);
        command.env_remove("MNEMON_STORE").env("QDRANT_PORT", "2").env("QDRANT_COLLECTION_NAME", "c").env(name, value);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(told) && stderr.contains("connection refused"), "{stderr}");
    }
}

#[test]
fn a_blank_variable_is_not_an_absent_one() {
    let place = Place::new();
    place.add("ana", "hers alone");
    for (name, value) in [("MNEMON_USER", ""), ("MNEMON_USER", "  "), ("MNEMON_STORE", ""), ("MNEMON_RUN", "")] {
        let output = place.command(&["list"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn logs_go_to_stderr_when_asked_for() {
    let place = Place::new();
    place.add("ana", "something");
    let quiet = place.run(&["list", "--json"]);
    assert_eq!(quiet.stderr, "");
    let told = place.run(&["list", "--json", "-vv"]);
    assert_eq!(told.stdout, quiet.stdout);
    assert!(told.stderr.contains("DEBUG") && told.stderr.contains("store.db"), "{}", told.stderr);
}
