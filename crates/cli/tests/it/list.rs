//! `mnemon list`, `get`, `history` and `stats`.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, check_refused};

fn sandbox_with(count: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: String = (0..count).map(|number| format!("memory {number}\n")).collect();
    let result = sandbox.run_with(&["add", "--stdin", "--user", "ana"], &lines);
    assert_eq!(result.code, 0, "{}", result.stderr);
    sandbox
}

#[test]
fn a_page_has_the_total_and_a_cursor() {
    let sandbox = sandbox_with(3);
    sandbox.snapshot_json("list", &sandbox.json(&["list", "--user", "ana", "--limit", "2"]));
    let result = sandbox.run(&["list", "--user", "ana", "--limit", "2"]);
    assert!(result.stderr.starts_with("2 of 3 memories; more with --cursor "), "{}", result.stderr);
    assert_eq!(result.stdout.lines().count(), 4);
}

#[test]
fn all_pages_together_list_every_memory_once() {
    let sandbox = sandbox_with(25);
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut args = vec!["list", "--user", "ana", "--limit", "7"];
        args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]));
        let page = sandbox.json(&args);
        assert_eq!(page["total"], json!(25));
        seen.extend(page["results"].as_array().unwrap().iter().map(|item| item["memory"].clone()));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<Value> = (0..25).rev().map(|number| json!(format!("memory {number}"))).collect();
    assert_eq!(seen, expected);
    let all = sandbox.json(&["list", "--user", "ana", "--all"]);
    assert_eq!((&all["total"], &all["next"]), (&json!(25), &Value::Null));
    assert_eq!(all["results"].as_array().unwrap().len(), 25);
    assert_eq!(sandbox.json(&["list", "--user", "nobody", "--all"]), json!({"results": [], "total": 0, "next": null}));
}

#[test]
fn without_a_scope_all_owners_are_listed() {
    let sandbox = sandbox_with(1);
    sandbox.add("bea", "of bea");
    assert_eq!(sandbox.texts(&["list"]), ["of bea", "memory 0"]);
    assert_eq!(sandbox.texts(&["list", "--user", "bea"]), ["of bea"]);
    assert_eq!(sandbox.texts(&["list", "--filter", r#"{"user_id": {"ne": "bea"}}"#]), ["memory 0"]);
}

#[test]
fn get_shows_entities_and_links() {
    let sandbox = Sandbox::new();
    let first = sandbox.add("ana", "Clara moved to Vienna");
    let result = sandbox.run(&["add", "Clara likes Vienna", "--user", "ana", "--link", &first]);
    let second = result.stdout.trim();
    let shown = sandbox.json(&["get", &first]);
    assert_eq!(shown["links"][0]["source"], json!(second));
    assert_eq!((&shown["links"][0]["target"], &shown["links"][0]["kind"]), (&json!(first), &json!("related")));
    let names: Vec<&str> = shown["entities"].as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(names.contains(&"Vienna"), "{names:?}");
    let output = sandbox.run(&["get", &first]).stdout;
    for part in ["Clara moved to Vienna\n\n", "Vienna (proper", &format!("linked from      {second} (related)")] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn stats_cover_a_scope_or_the_store() {
    let sandbox = sandbox_with(2);
    sandbox.add("bea", "of bea");
    sandbox.snapshot_json("stats_user", &sandbox.json(&["stats", "--user", "ana"]));
    sandbox.snapshot_json("stats_store", &sandbox.json(&["stats"]));
    let output = sandbox.run(&["stats"]).stdout;
    assert!(output.contains("2 users\n") && output.contains("2  ana\n"), "{output}");
}

#[test]
fn a_closed_stdout_is_not_an_error_for_reading_commands() {
    let sandbox = sandbox_with(3);
    for (args, code) in [(&["list", "--all"][..], 0), (&["stats", "--json"], 0), (&["export"], 1), (&["--help"], 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = sandbox.std_command().args(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn invalid_arguments_are_explained() {
    let sandbox = sandbox_with(1);
    let missing = "00000000-0000-4000-8000-000000000000";
    for (args, hint) in [
        (&["list", "--limit", "0"][..], "1 to 1000"),
        (&["list", "--limit", "1001"], "1 to 1000"),
        (&["list", "--cursor", "x"], "the previous page"),
        (&["list", "--all", "--limit", "3"], "cannot be used with"),
        (&["list", "--user", ""], "empty"),
        (&["get", "nonsense"], "UUID"),
        (&["get", missing], "not found"),
        (&["get"], "ID"),
        (&["history", "nonsense"], "UUID"),
        (&["stats", "--user", "*"], "name one id"),
        (&["remember"], "unrecognized subcommand"),
    ] {
        check_refused(&sandbox, args, 2, hint);
    }
    assert_eq!(sandbox.json(&["history", missing]), json!([]));
}
