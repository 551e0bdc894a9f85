//! `mnemon add --infer`: with a language model, without one, and while it is unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mnemon_testbed::{FakeService, Reply};
use serde_json::{Value, json};

use crate::sandbox::{CommandResult, Sandbox};

const ADD: [&str; 5] = ["add", "I moved to Lisbon in May. How are you?", "--user", "ana", "--infer"];

fn json_of(result: &CommandResult) -> Value {
    assert_eq!(result.code, 0, "{}", result.stderr);
    serde_json::from_str(&result.stdout).unwrap()
}

#[test]
fn rules_extract_facts_without_a_model() {
    let sandbox = Sandbox::new();
    let answer = sandbox.json(&ADD);
    assert_eq!(
        (&answer["extractor"], &answer["results"][0]["memory"], &answer["results"][1]),
        (&json!("extractive"), &json!("I moved to Lisbon in May."), &Value::Null)
    );
    assert_eq!(sandbox.json(&ADD)["results"], json!([]), "known facts are not stored again");
}

#[test]
fn pending_requests_are_reported_until_they_are_processed() {
    let refusing = Arc::new(AtomicBool::new(true));
    let is_refusing = refusing.clone();
    let endpoint = FakeService::start(move |_, request| {
        if is_refusing.load(Ordering::SeqCst) {
            Reply::refusal("401 Unauthorized", "no such key: sk-secret")
        } else {
            Reply::chat(request, &json!({"memory": [{"text": "Ana lives in Lisbon"}]}).to_string())
        }
    });
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command
            .env("MNEMON_LLM", "openai:some-model")
            .env("MNEMON_LLM_URL", &endpoint.url)
            .env("LLM_API_KEY", "sk-secret");
        CommandResult::of(&mut command)
    };
    let result = run(&ADD);
    assert!(result.code == 0 && result.stdout.starts_with("queued as "), "{} {}", result.stdout, result.stderr);
    assert!(result.stderr.contains("LLM_API_KEY") && !result.stderr.contains("sk-secret"), "{}", result.stderr);

    let doctor = run(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("pending   1 request for a model (the "), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("(HTTP 401: no such key: [redacted])"), "{}", doctor.stdout);
    let export = run(&["export", "all.jsonl"]);
    assert!(export.code == 0 && export.stderr.contains("not exported: 1 request waiting"), "{}", export.stderr);
    assert_eq!(json_of(&run(&["export", "all.jsonl", "--json"]))["waiting"], 1);

    refusing.store(false, Ordering::SeqCst);
    let start = Instant::now();
    while json_of(&run(&["doctor", "--json"]))["waiting"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(200));
        run(&["add", "I like tea.", "--user", "ben", "--infer"]);
    }
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]), ["Ana lives in Lisbon"]);
}

#[test]
fn parked_requests_are_listed_edited_and_dropped() {
    let endpoint = FakeService::start(|_, request| match request.body["messages"].to_string().contains("poison") {
        true => {
            Reply::new("400 Bad Request", &json!({"error": {"message": "Azurion says no", "code": "content_filter"}}))
        }
        false => Reply::chat(request, &json!({"memory": [{"text": "Ana likes tea"}]}).to_string()),
    });
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("MNEMON_LLM", "openai:some-model").env("MNEMON_LLM_URL", &endpoint.url);
        CommandResult::of(&mut command)
    };
    for text in ["poison one", "poison two"] {
        let added = run(&["add", text, "--user", "ana", "--infer"]);
        assert!(added.code == 1 && added.stdout.starts_with("parked as "), "{} {}", added.stdout, added.stderr);
    }
    let doctor = run(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("parked    2 requests"), "{}", doctor.stdout);
    assert_eq!(json_of(&run(&["stats", "--json"]))["parked"], 2);
    assert_eq!(json_of(&run(&["stats", "--user", "ana", "--json"]))["parked"], 2);
    assert_eq!(json_of(&run(&["stats", "--user", "ben", "--json"]))["parked"], 0);
    let list = run(&["parked", "list"]);
    assert!(list.stdout.contains("poison one") && list.stdout.contains("Azurion says no"), "{}", list.stdout);
    let parked = json_of(&run(&["parked", "list", "--json"]))["parked"].clone();
    let ids: Vec<&str> = parked.as_array().unwrap().iter().map(|one| one["event_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &parked[0]["user_id"]), (2, &json!("ana")));
    sandbox.file("new.json", r#"["I like tea."]"#);
    assert_eq!(run(&["parked", "edit", ids[0], "--messages", "new.json"]).code, 0);
    assert_eq!(run(&["parked", "drop", ids[1]]).code, 0);
    let unknown = run(&["parked", "drop", ids[1]]);
    assert!(unknown.code == 2 && unknown.stderr.contains("mnemon parked list"), "{}", unknown.stderr);
    // The next command with --infer runs what is due.
    assert_eq!(run(&["add", "I like cake.", "--user", "ben", "--infer"]).code, 0);
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]), ["Ana likes tea"]);
    assert_eq!(run(&["parked", "list"]).stdout, "no parked requests\n");
    assert_eq!(json_of(&run(&["parked", "retry", "--all", "--json"])), json!({"retried": 0}));
}

#[test]
fn a_missing_reranker_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "Tea is what I like.");
    sandbox.add("ana", "Coffee is what I like.");
    let search = ["search", "What do I like?", "--user", "ana", "--rerank"];
    let result = sandbox.run(&search);
    assert!(result.code == 0 && result.stderr.contains("MNEMON_RERANKER"), "{}", result.stderr);
    let reranker = FakeService::start(|_, request| {
        let texts = request.body["documents"].as_array().unwrap();
        let score = |text: &Value| if text.as_str().unwrap().starts_with("Coffee") { 0.75 } else { 0.25 };
        let rows: Vec<Value> =
            texts.iter().enumerate().map(|(at, text)| json!({"index": at, "relevance_score": score(text)})).collect();
        Reply::new("200 OK", &json!({"results": rows}))
    });
    let mut command = sandbox.command(&[&search[..], &["--json"]].concat());
    command.env("MNEMON_RERANKER", "http:some-model").env("MNEMON_RERANKER_URL", &reranker.url);
    let answer = json_of(&CommandResult::of(&mut command));
    assert_eq!(
        (&answer["results"][0]["memory"], &answer["results"][0]["score"]),
        (&json!("Coffee is what I like."), &json!(0.75))
    );
}
