//! `mnemon import`, `export` and `doctor`.

use serde_json::json;

use crate::sandbox::{Sandbox, check_refused};

#[test]
fn an_export_restores_the_same_store() {
    let sandbox = Sandbox::new();
    let first = sandbox.add("ana", "Clara moved to Vienna");
    sandbox.run(&["add", "我喜欢喝茶 🍵", "--user", "ana", "--session", "s", "--link", &first]);
    sandbox.json(&["update", &first, "Clara moved to Linz"]);
    let written = sandbox.json(&["export", "all.jsonl"]);
    assert_eq!((&written["exported"]["memories"], &written["exported"]["links"]), (&json!(2), &json!(1)));
    assert!(!sandbox.path("all.jsonl.part").exists());

    let copy = ["--store", "sqlite:copy.db"];
    let imported = sandbox.json(&[&["import", "all.jsonl"][..], &copy].concat());
    sandbox.snapshot_json("import", &imported);
    for args in [&["list"][..], &["history", &first], &["get", &first]] {
        assert_eq!(sandbox.json(&[args, &copy].concat()), sandbox.json(args), "{args:?}");
    }
    let again = sandbox.run(&["export", "-", "--store", "sqlite:copy.db"]);
    assert_eq!(again.stdout, std::fs::read_to_string(sandbox.path("all.jsonl")).unwrap());
    assert!(again.stderr.starts_with("exported 2 memories"), "{}", again.stderr);

    let result = sandbox.run_with(&[&["import", "-"][..], &copy].concat(), &again.stdout);
    assert_eq!((result.code, result.stdout.contains("unchanged  2")), (0, true), "{}", result.stdout);
}

#[test]
fn import_detects_the_format() {
    let sandbox = Sandbox::new();
    for (name, content, format, memories) in [
        ("a.txt", "one\ntwo\n\nthree", "text", 3),
        ("b.json", r#"[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]"#, "chat", 2),
        ("c.jsonl", r#"{"id": 7, "payload": {"data": "from mem0", "user_id": "ana"}}"#, "points", 1),
    ] {
        let file = sandbox.file(name, content);
        let imported = sandbox.json(&["import", &file, "--user", "ana"]);
        assert_eq!(
            (&imported["format"], &imported["stored"]["memories"]),
            (&json!(format), &json!(memories)),
            "{name}"
        );
    }
    assert_eq!(sandbox.json(&["get", "7"])["memory"], "from mem0");
}

#[test]
fn refused_lines_are_reported_and_the_others_stored() {
    let sandbox = Sandbox::new();
    let mut lines = String::from("{\"id\": 1, \"payload\": {\"data\": \"good\", \"user_id\": \"ana\"}}\n");
    for _ in 0..25 {
        lines.push_str("{\"id\": \"nonsense\", \"payload\": {}}\n");
    }
    let file = sandbox.file("points.jsonl", &lines);
    let result = sandbox.run(&["import", &file]);
    assert_eq!((result.code, result.stderr.as_str()), (1, ""));
    assert_eq!(result.stdout.lines().filter(|line| line.starts_with("  line ")).count(), 20);
    assert!(result.stdout.contains("refused    25 lines") && result.stdout.contains("and 5 more"), "{}", result.stdout);
    let result = sandbox.run(&["import", &file, "--json"]);
    let output: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
    assert_eq!((result.code, output["refused"].as_array().unwrap().len(), &output["unchanged"]), (1, 25, &json!(1)));
    assert_eq!(sandbox.texts(&["list"]), ["good"]);
}

#[test]
fn an_export_does_not_overwrite_a_store() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "x");
    check_refused(&sandbox, &["export", "store.db"], 4, "overwrite");
    check_refused(&sandbox, &["export", "."], 2, "- for stdout");
    check_refused(&sandbox, &["export", "no/such/folder.jsonl"], 1, "folder.jsonl");
    assert_eq!(sandbox.texts(&["list"]), ["x"]);
}

#[test]
fn a_truncated_export_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "x");
    let whole = sandbox.run(&["export"]).stdout;
    let cut = sandbox.file("cut.jsonl", &whole[..whole.len() / 2]);
    check_refused(&sandbox, &["import", &cut, "--store", "sqlite:new.db"], 2, "Nothing was imported");
    assert_eq!(sandbox.json(&["stats", "--store", "sqlite:new.db"])["store"]["memories"], json!(0));
    let text = sandbox.file("text.txt", "plain");
    check_refused(&sandbox, &["import", &text], 2, "--user");
    check_refused(&sandbox, &["import", "missing.txt", "--user", "ana"], 1, "missing.txt");
    let empty = sandbox.file("empty.txt", "");
    check_refused(&sandbox, &["import", &empty, "--user", "ana"], 2, "empty");
}

#[test]
fn doctor_reports_findings_in_its_exit_code() {
    let sandbox = Sandbox::new();
    check_refused(&sandbox, &["doctor"], 1, "mnemon add");
    let id = sandbox.add("ana", "x");
    let sound = sandbox.json(&["doctor"]);
    assert_eq!((&sound["ok"], &sound["findings"]), (&json!(true), &json!([])));
    assert!(sandbox.run(&["doctor"]).stdout.ends_with("no problems found\n"));

    // Imports a link to a memory that does not exist.
    let export = sandbox.run(&["export"]).stdout;
    let link = format!(
        r#"{{"link": {{"source": "{id}", "target": 7, "kind": "related", "created_at": "2024-01-01T00:00:00Z"}}}}"#
    );
    let (before, end) = export.trim_end().rsplit_once('\n').unwrap();
    let end = end.replace(r#""links":0"#, r#""links":1"#);
    let file = sandbox.file("odd.jsonl", &format!("{before}\n{link}\n{end}\n"));
    let result = sandbox.run(&["import", &file, "--store", "sqlite:odd.db"]);
    assert_eq!(result.code, 0, "{}{}", result.stdout, result.stderr);
    let result = sandbox.run(&["doctor", "--store", "sqlite:odd.db"]);
    assert_eq!(result.code, 3, "{}", result.stdout);
    assert!(result.stdout.contains("link_to_nothing: 1"), "{}", result.stdout);
}

#[test]
fn a_file_that_is_not_a_store_is_not_changed() {
    let sandbox = Sandbox::new();
    sandbox
        .file("notes.txt", "not a database, but long enough to be taken for one at a glance, as files often are, alas");
    check_refused(&sandbox, &["list", "--store", "sqlite:notes.txt"], 1, "was not changed");
    check_refused(&sandbox, &["list", "--store", "sqlite:."], 1, "folder");
}

#[cfg(unix)]
#[test]
fn a_pipe_can_be_imported() {
    let sandbox = Sandbox::new();
    let lines: String = (0..5000).map(|number| format!("fact number {number}\n")).collect();
    let imported = sandbox.run_with(&["import", "/dev/stdin", "--user", "ana", "--json"], &lines);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    assert_eq!(sandbox.json(&["list", "--user", "ana"])["total"], json!(5000));
    let again = sandbox.run_with(&["import", "-", "--user", "ana", "--json"], &lines);
    assert!(again.stdout.contains("\"unchanged\":5000"), "{}", again.stdout);
}

#[test]
fn only_writing_commands_create_a_store() {
    let sandbox = Sandbox::new();
    let backup = sandbox.file("backup.jsonl", "precious\n");
    for args in [
        &["export", &backup][..],
        &["list"],
        &["stats"],
        &["doctor"],
        &["search", "x", "--user", "ana"],
        &["get", "1"],
        &["delete", "1"],
    ] {
        check_refused(&sandbox, args, 1, "no store at");
    }
    assert!(!sandbox.path("store.db").exists());
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), "precious\n");
    sandbox.add("ana", "something");
    check_refused(&sandbox, &["export", "store.db-wal"], 4, "a part of one");
}

#[test]
fn imported_files_do_not_choose_the_owner() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("chat.json", r#"{"messages": [{"role": "user", "content": "hello"}], "user_id": "bob"}"#);
    let result = sandbox.run(&["import", &file, "--user", "ana"]);
    assert_eq!(result.code, 1);
    assert!(result.stdout.contains("user_id=bob"), "{}", result.stdout);
    assert_eq!(sandbox.json(&["list"])["total"], json!(0));
    assert_eq!(sandbox.json(&["import", &file, "--user", "bob"])["stored"]["memories"], json!(1));
}

#[test]
fn a_log_is_not_a_list_of_messages() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("log.txt", "[10:32] Ana: hello there\n[10:33] Ben: {not json}\n");
    let imported = sandbox.json(&["import", &file, "--user", "ana"]);
    assert_eq!((&imported["format"], &imported["stored"]["memories"]), (&json!("text"), &json!(2)));
}

#[test]
fn every_command_refuses_a_file_that_is_not_a_store() {
    let sandbox = Sandbox::new();
    sandbox.file("notes.txt", &"just some notes\n".repeat(50));
    for verb in [&["export"][..], &["doctor"], &["list"], &["stats"]] {
        let args = [verb, &["--store", "sqlite:notes.txt"]].concat();
        check_refused(&sandbox, &args, 1, "not a Mnemon store");
    }
}
