//! `list`, `get`, `history`, `stats`: what is there.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::place::{Place, check_refused};

fn place_with(count: usize) -> Place {
    let place = Place::new();
    let lines: String = (0..count).map(|number| format!("memory {number}\n")).collect();
    let ran = place.run_with(&["add", "--stdin", "--user", "ana"], &lines);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    place
}

#[test]
fn a_page_tells_the_total_and_where_the_next_begins() {
    let place = place_with(3);
    place.snapshot_json("list", &place.json(&["list", "--user", "ana", "--limit", "2"]));
    let ran = place.run(&["list", "--user", "ana", "--limit", "2"]);
    assert!(ran.stderr.starts_with("2 of 3 memories; more with --cursor "), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 4);
}

#[test]
fn pages_together_are_everything_once() {
    let place = place_with(25);
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut args = vec!["list", "--user", "ana", "--limit", "7"];
        args.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]));
        let page = place.json(&args);
        assert_eq!(page["total"], json!(25));
        seen.extend(page["results"].as_array().unwrap().iter().map(|item| item["memory"].clone()));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<Value> = (0..25).rev().map(|number| json!(format!("memory {number}"))).collect();
    assert_eq!(seen, expected);
    let all = place.json(&["list", "--user", "ana", "--all"]);
    assert_eq!((&all["total"], &all["next"]), (&json!(25), &Value::Null));
    assert_eq!(all["results"].as_array().unwrap().len(), 25);
    assert_eq!(place.json(&["list", "--user", "nobody", "--all"]), json!({"results": [], "total": 0, "next": null}));
}

#[test]
fn without_a_scope_everybody_is_listed() {
    let place = place_with(1);
    place.add("bea", "of bea");
    assert_eq!(place.texts(&["list"]), ["of bea", "memory 0"]);
    assert_eq!(place.texts(&["list", "--user", "bea"]), ["of bea"]);
    assert_eq!(place.texts(&["list", "--filter", r#"{"user_id": {"ne": "bea"}}"#]), ["memory 0"]);
}

#[test]
fn a_memory_is_shown_with_names_and_links() {
    let place = Place::new();
    let first = place.add("ana", "Clara moved to Vienna");
    let ran = place.run(&["add", "Clara likes Vienna", "--user", "ana", "--link", &first]);
    let second = ran.stdout.trim();
    let shown = place.json(&["get", &first]);
    assert_eq!(shown["links"][0]["source"], json!(second));
    assert_eq!((&shown["links"][0]["target"], &shown["links"][0]["kind"]), (&json!(first), &json!("related")));
    let names: Vec<&str> = shown["entities"].as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(names.contains(&"Vienna"), "{names:?}");
    let told = place.run(&["get", &first]).stdout;
    for part in ["Clara moved to Vienna\n\n", "Vienna (proper", &format!("linked from      {second} (related)")] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn statistics_are_of_somebody_or_of_all() {
    let place = place_with(2);
    place.add("bea", "of bea");
    place.snapshot_json("stats_user", &place.json(&["stats", "--user", "ana"]));
    place.snapshot_json("stats_store", &place.json(&["stats"]));
    let told = place.run(&["stats"]).stdout;
    assert!(told.contains("2 users\n") && told.contains("2  ana\n"), "{told}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let place = place_with(3);
    for (args, code) in [(&["list", "--all"][..], 0), (&["stats", "--json"], 0), (&["export"], 1), (&["--help"], 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = place.bare().args(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn wrong_calls_say_what_is_right() {
    let place = place_with(1);
    let missing = "00000000-0000-4000-8000-000000000000";
    for (args, hint) in [
        (&["list", "--limit", "0"][..], "1 to 1000"),
        (&["list", "--limit", "1001"], "1 to 1000"),
        (&["list", "--cursor", "x"], "page before"),
        (&["list", "--all", "--limit", "3"], "cannot be used with"),
        (&["list", "--user", ""], "empty"),
        (&["get", "nonsense"], "UUID"),
        (&["get", missing], "not found"),
        (&["get"], "ID"),
        (&["history", "nonsense"], "UUID"),
        (&["stats", "--user", "*"], "name one id"),
        (&["remember"], "unrecognized subcommand"),
    ] {
        check_refused(&place, args, 2, hint);
    }
    assert_eq!(place.json(&["history", missing]), json!([]));
}
