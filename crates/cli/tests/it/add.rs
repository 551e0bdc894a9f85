//! `mnemon add`: a text, a conversation, and line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, check_refused};

#[test]
fn add_returns_what_mem0_returns() {
    let sandbox = Sandbox::new();
    let added = sandbox.json(&["add", "I collect old maps", "--user", "ana", "--name", "Ana"]);
    sandbox.snapshot_json("add", &added);
    let id = sandbox.run(&["add", "And compasses", "--user", "ana"]);
    assert_eq!((id.code, id.stderr.as_str(), id.stdout.trim().len()), (0, "", 36));
}

#[test]
fn all_options_are_stored() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(&["add", "The roof leaks", "--user", "ana", "--agent", "home", "--run", "r1"]);
    let first = first.stdout.trim();
    let link = format!("{first}:because");
    let added = sandbox.json(&[
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
    let shown = sandbox.json(&["get", added["results"][0]["id"].as_str().unwrap()]);
    sandbox.snapshot_json("add_everything", &shown);
}

#[test]
fn a_conversation_is_added_completely_or_not_at_all() {
    let sandbox = Sandbox::new();
    let chat = r#"[{"role": "user", "content": "Do we have milk?", "name": "Ana"},
                   {"role": "system", "content": "You are helpful"},
                   {"role": "assistant", "content": [{"type": "text", "text": "Two bottles."}]}]"#;
    let file = sandbox.file("chat.json", chat);
    let added = sandbox.json(&["add", "--messages", &file, "--user", "ana", "--session", "kitchen"]);
    assert_eq!(added["results"].as_array().unwrap().len(), 2);
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]), ["Two bottles.", "Do we have milk?"]);

    let result =
        sandbox.run_with(&["add", "--messages", "-", "--user", "bea"], "{\"content\": \"a\"}\n{\"content\": 7}\n");
    assert_eq!(result.code, 2, "{}", result.stderr);
    assert!(result.stderr.contains("line 2"), "{}", result.stderr);
    assert_eq!(sandbox.texts(&["list", "--user", "bea"]), [] as [&str; 0]);
}

#[test]
fn duplicates_can_be_skipped() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "Tea, no sugar");
    let again = sandbox.json(&["add", "Tea, no sugar", "--user", "ana", "--skip-duplicates"]);
    assert_eq!(again, json!({"results": []}));
    let result =
        sandbox.run_with(&["add", "--stdin", "--user", "ana", "--skip-duplicates", "--json"], "Tea, no sugar\n");
    assert_eq!(serde_json::from_str::<Value>(&result.stdout).unwrap()["event"], "NONE");
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]).len(), 1);
}

#[test]
fn a_line_is_durable_when_its_id_is_printed() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.std_command();
    command.args(["add", "--stdin", "--user", "ana", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        writeln!(stdin, "{text}").unwrap();
        stdin.flush().unwrap();
        // The result arrives before the next line is sent.
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let result: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&result["memory"], &result["event"]), (&json!(text), &json!("ADD")));
        ids.push(result["id"].as_str().unwrap().to_owned());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for id in ids {
        assert_eq!(sandbox.json(&["get", &id])["id"], json!(id));
    }
    assert_eq!(sandbox.json(&["doctor"])["ok"], json!(true));
}

#[test]
fn an_invalid_line_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let lines =
        "plain\n\n{\"content\": \"as json\", \"role\": \"assistant\", \"name\": \"Bot\"}\n{broken\n{\"text\": 1}\nlast";
    let result = sandbox.run_with(&["add", "--stdin", "--user", "ana"], lines);
    assert_eq!(result.code, 1);
    assert_eq!(result.stdout.lines().count(), 3);
    let errors: Vec<&str> = result.stderr.lines().collect();
    assert!(errors[0].starts_with("error: line 4: ") && errors[1].starts_with("error: line 5: "), "{errors:?}");
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]), ["last", "as json", "plain"]);
}

#[test]
fn messages_may_have_all_forms() {
    let sandbox = Sandbox::new();
    let lines = "text\n[\"a\", {\"content\": \"b\"}]\n{\"messages\": \"c\"}\n[draft] text\n";
    let result = sandbox.run_with(&["add", "--stdin", "--user", "ana", "--json"], lines);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    let results: Vec<Value> = result.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stored: Vec<_> = results.iter().map(|result| (&result["line"], result["memory"].as_str().unwrap())).collect();
    let expected = [(1, "text"), (2, "a"), (2, "b"), (3, "c"), (4, "[draft] text")];
    assert_eq!(
        stored,
        expected.map(|(line, text)| (json!(line), text)).iter().map(|(l, t)| (l, *t)).collect::<Vec<_>>()
    );
    let result = sandbox.run_with(&["add", "--stdin", "--user", "ana"], "[\"a\", {\"role\": \"user\"}]\n");
    assert_eq!(result.code, 1);
    assert!(result.stderr.contains("line 1: messages[1].content: "), "{}", result.stderr);

    let file = sandbox.file("chat.json", r#"{"messages": ["d", {"role": "assistant", "content": "e"}]}"#);
    assert_eq!(sandbox.json(&["add", "--messages", &file, "--user", "bea"])["results"].as_array().unwrap().len(), 2);
    let calls =
        r#"{"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]}, {"role": "Developer", "content": "g"}"#;
    for infer in [&[][..], &["--infer"]] {
        let file = sandbox.file("chat.json", &format!("\u{feff}[{calls}]"));
        let alone = sandbox.json(&[&["add", "--messages", &file, "--user", "cid"], infer].concat());
        assert_eq!(alone["results"], json!([]));
        assert!(alone["note"].as_str().unwrap().starts_with("not stored: 1 instruction"), "{alone}");
    }
    let file = sandbox.file("chat.json", &format!("[{calls}, \"\u{feff}I moved to Oslo.\"]"));
    assert_eq!(sandbox.json(&["add", "--messages", &file, "--user", "cid"])["results"].as_array().unwrap().len(), 1);
    let imported = sandbox.json(&["import", &file, "--user", "dan"]);
    assert_eq!((&imported["stored"]["memories"], &imported["skipped"]), (&json!(1), &json!(2)), "{imported}");
    let lines = "\u{feff}one\n\u{feff}two\n";
    assert_eq!(sandbox.run_with(&["add", "--stdin", "--user", "cid"], lines).code, 0);
    assert_eq!(sandbox.run(&["add", "\u{feff}three", "--user", "cid", "--role", "Human"]).code, 0);
    assert_eq!(sandbox.texts(&["list", "--user", "cid"]), ["three", "two", "one", "I moved to Oslo."]);
    assert_eq!(sandbox.json(&["list", "--user", "cid"])["results"][0]["role"], "user");
    let tuesday = sandbox.json(&["add", "four", "--user", "cid", "--session", "tuesday", "--timestamp", "2024-05-07"]);
    for filter in [r#"{"session": "tuesday"}"#, r#"{"event_time": {"lt": "2025-01-01"}}"#, r#"{"event_time": "*"}"#] {
        assert_eq!(sandbox.texts(&["list", "--user", "cid", "--filter", filter]), ["four"], "{tuesday}");
    }

    let file = sandbox.file("chat.json", r#"["f", {"role": "assistant"}]"#);
    check_refused(&sandbox, &["add", "--messages", &file, "--user", "bea"], 2, "messages[1].content: ");
}

#[test]
fn all_scripts_are_stored_and_found() {
    let sandbox = Sandbox::new();
    let texts = [
        "我在北京的图书馆工作",
        "أحب القهوة بدون سكر",
        "🎸 lessons with 👩‍🚀 on Friday",
        "ünïcödé naïve café",
        "שלום עולם",
    ];
    let result = sandbox.run_with(&["add", "--stdin", "--user", "ana"], &texts.join("\n"));
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    for (question, found) in
        [("图书馆", texts[0]), ("القهوة", texts[1]), ("🎸 lessons", texts[2]), ("café", texts[3]), ("שלום", texts[4])]
    {
        assert_eq!(sandbox.texts(&["search", question, "--user", "ana"])[0], found, "{question}");
        assert!(sandbox.run(&["search", question, "--user", "ana"]).stdout.contains(found), "{question}");
    }
}

#[test]
fn invalid_arguments_are_explained() {
    let sandbox = Sandbox::new();
    for (args, hint) in [
        (&["add", "--user", "ana"][..], "--stdin"),
        (&["add", "x"], "--user"),
        (&["add", "x", "--user", "a b"], "single words"),
        (&["add", "x", "--user", "*"], "name one id"),
        (&["add", " ", "--user", "ana"], "messages[0] is empty"),
        (&["add", "x", "--stdin", "--user", "ana"], "cannot be used with"),
        (&["add", "x", "--user", "ana", "--metadata", "[1]"], "--metadata must be an object"),
        (&["add", "x", "--user", "ana", "--metadata", "{"], "--metadata is not valid JSON"),
        (&["add", "x", "--user", "ana", "-m", "colour"], "KEY=VALUE"),
        (&["add", "x", "--user", "ana", "-m", "user_id=bea"], "user_id"),
        (&["add", "x", "--user", "ana", "--expires", "tomorrow"], "YYYY-MM-DD"),
        (&["add", "x", "--user", "ana", "--timestamp", "soon"], "RFC 3339"),
        (&["add", "x", "--user", "ana", "--link", "nothing"], "UUID"),
        (&["add", "x", "--user", "ana", "--link", "7"], "not found"),
        (&["add", "x", "--user", "ana", "--session", " "], "session"),
        (&["add", "x", "--user", "ana", "--role", ""], "messages[0].role: is empty"),
    ] {
        check_refused(&sandbox, args, 2, hint);
    }
    assert_eq!(sandbox.json(&["stats"])["store"]["memories"], json!(0));
}
