//! `add`: one text, a conversation, and line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::place::{Place, check_refused};

#[test]
fn a_text_is_remembered_as_mem0_answers() {
    let place = Place::new();
    let added = place.json(&["add", "I collect old maps", "--user", "ana", "--name", "Ana"]);
    place.snapshot_json("add", &added);
    let id = place.run(&["add", "And compasses", "--user", "ana"]);
    assert_eq!((id.code, id.stderr.as_str(), id.stdout.trim().len()), (0, "", 36));
}

#[test]
fn everything_said_of_a_memory_is_kept() {
    let place = Place::new();
    let first = place.run(&["add", "The roof leaks", "--user", "ana", "--agent", "home", "--run", "r1"]);
    let first = first.stdout.trim();
    let link = format!("{first}:because");
    let added = place.json(&[
        "add",
        "The roofer comes on Monday",
        "--user",
        "ana",
        "--agent",
        "home",
        "--run",
        "r1",
        "--role",
        "assistant",
        "--name",
        "Bot",
        "--session",
        "roof",
        "--timestamp",
        "2024-05-01T12:00:00+02:00",
        "--metadata",
        r#"{"tags": ["house"], "cost": 80.5}"#,
        "-m",
        "cost=90",
        "-m",
        "paid=false",
        "--expires",
        "2999-12-31",
        "--link",
        &link,
    ]);
    let shown = place.json(&["get", added["results"][0]["id"].as_str().unwrap()]);
    place.snapshot_json("add_everything", &shown);
}

#[test]
fn a_conversation_is_taken_whole_or_not_at_all() {
    let place = Place::new();
    let chat = r#"[{"role": "user", "content": "Do we have milk?", "name": "Ana"},
                   {"role": "system", "content": "You are helpful"},
                   {"role": "assistant", "content": [{"type": "text", "text": "Two bottles."}]}]"#;
    let file = place.file("chat.json", chat);
    let added = place.json(&["add", "--messages", &file, "--user", "ana", "--session", "kitchen"]);
    assert_eq!(added["results"].as_array().unwrap().len(), 2);
    assert_eq!(place.texts(&["list", "--user", "ana"]), ["Two bottles.", "Do we have milk?"]);

    let ran =
        place.run_with(&["add", "--messages", "-", "--user", "bea"], "{\"content\": \"a\"}\n{\"content\": \" \"}\n");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("message 2"), "{}", ran.stderr);
    assert_eq!(place.texts(&["list", "--user", "bea"]), [] as [&str; 0]);
}

#[test]
fn what_is_remembered_already_can_be_left_out() {
    let place = Place::new();
    place.add("ana", "Tea, no sugar");
    let again = place.json(&["add", "Tea, no sugar", "--user", "ana", "--skip-duplicates"]);
    assert_eq!(again, json!({"results": []}));
    let ran = place.run_with(&["add", "--stdin", "--user", "ana", "--skip-duplicates", "--json"], "Tea, no sugar\n");
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["event"], "NONE");
    assert_eq!(place.texts(&["list", "--user", "ana"]).len(), 1);
}

#[test]
fn each_line_is_safe_when_it_is_told() {
    let place = Place::new();
    let mut command = place.bare();
    command.args(["add", "--stdin", "--user", "ana", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut told = Vec::new();
    for text in ["one", "two", "three"] {
        writeln!(stdin, "{text}").unwrap();
        stdin.flush().unwrap();
        // The answer comes before anything more is sent.
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let result: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&result["memory"], &result["event"]), (&json!(text), &json!("ADD")));
        told.push(result["id"].as_str().unwrap().to_owned());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for id in told {
        assert_eq!(place.json(&["get", &id])["id"], json!(id));
    }
    assert_eq!(place.json(&["doctor"])["ok"], json!(true));
}

#[test]
fn a_line_that_cant_be_taken_does_not_stop_the_others() {
    let place = Place::new();
    let lines =
        "plain\n\n{\"content\": \"as json\", \"role\": \"assistant\", \"name\": \"Bot\"}\n{broken\n{\"text\": 1}\nlast";
    let ran = place.run_with(&["add", "--stdin", "--user", "ana"], lines);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout.lines().count(), 3);
    let faults: Vec<&str> = ran.stderr.lines().collect();
    assert!(faults[0].starts_with("error: line 4: ") && faults[1].starts_with("error: line 5: "), "{faults:?}");
    assert_eq!(place.texts(&["list", "--user", "ana"]), ["last", "as json", "plain"]);
}

#[test]
fn every_script_survives_the_way_in_and_out() {
    let place = Place::new();
    let texts = [
        "我在北京的图书馆工作",
        "أحب القهوة بدون سكر",
        "🎸 lessons with 👩‍🚀 on Friday",
        "ünïcödé naïve café",
        "שלום עולם",
    ];
    let ran = place.run_with(&["add", "--stdin", "--user", "ana"], &texts.join("\n"));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for (question, found) in
        [("图书馆", texts[0]), ("القهوة", texts[1]), ("🎸 lessons", texts[2]), ("café", texts[3]), ("שלום", texts[4])]
    {
        assert_eq!(place.texts(&["search", question, "--user", "ana"])[0], found, "{question}");
        assert!(place.run(&["search", question, "--user", "ana"]).stdout.contains(found), "{question}");
    }
}

#[test]
fn wrong_calls_say_what_is_right() {
    let place = Place::new();
    for (args, hint) in [
        (&["add", "--user", "ana"][..], "--stdin"),
        (&["add", "x"], "--user"),
        (&["add", "x", "--user", "a b"], "single words"),
        (&["add", "x", "--user", "*"], "name one id"),
        (&["add", " ", "--user", "ana"], "nothing to remember"),
        (&["add", "x", "--stdin", "--user", "ana"], "cannot be used with"),
        (&["add", "x", "--user", "ana", "--metadata", "[1]"], "--metadata is no object"),
        (&["add", "x", "--user", "ana", "--metadata", "{"], "--metadata is no JSON"),
        (&["add", "x", "--user", "ana", "-m", "colour"], "KEY=VALUE"),
        (&["add", "x", "--user", "ana", "-m", "user_id=bea"], "user_id"),
        (&["add", "x", "--user", "ana", "--expires", "tomorrow"], "YYYY-MM-DD"),
        (&["add", "x", "--user", "ana", "--timestamp", "soon"], "RFC 3339"),
        (&["add", "x", "--user", "ana", "--link", "nothing"], "UUID"),
        (&["add", "x", "--user", "ana", "--link", "7"], "not found"),
        (&["add", "x", "--user", "ana", "--session", " "], "session"),
        (&["add", "x", "--user", "ana", "--role", ""], "no role"),
    ] {
        check_refused(&place, args, 2, hint);
    }
    assert_eq!(place.json(&["stats"])["store"]["memories"], json!(0));
}
