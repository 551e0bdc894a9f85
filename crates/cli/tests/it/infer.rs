//! Facts from what was said, on the command line: with a language model, without one, and while it is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mnemon_testbed::{Reply, Service};
use serde_json::{Value, json};

use crate::place::{Place, Ran};

const ADD: [&str; 5] = ["add", "I moved to Lisbon in May. How are you?", "--user", "ana", "--infer"];

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn sentences_are_facts_without_a_model() {
    let place = Place::new();
    let answer = place.json(&ADD);
    assert_eq!(
        (&answer["extractor"], &answer["results"][0]["memory"], &answer["results"][1]),
        (&json!("extractive"), &json!("I moved to Lisbon in May."), &Value::Null)
    );
    assert_eq!(place.json(&ADD)["results"], json!([]), "it is known");
}

#[test]
fn what_waits_for_a_model_is_told_until_it_is_learnt() {
    let away = Arc::new(AtomicBool::new(true));
    let gone = away.clone();
    let endpoint = Service::start(move |_, asked| match gone.load(Ordering::SeqCst) {
        true => Reply::refusal("401 Unauthorized", "no such key: sk-secret"),
        false => Reply::chat(asked, &json!({"memory": [{"text": "Ana lives in Lisbon"}]}).to_string()),
    });
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command
            .env("MNEMON_LLM", "openai:some-model")
            .env("MNEMON_LLM_URL", &endpoint.url)
            .env("LLM_API_KEY", "sk-secret");
        Ran::of(&mut command)
    };
    let ran = run(&ADD);
    assert!(ran.code == 0 && ran.stdout.starts_with("waits as "), "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("LLM_API_KEY") && !ran.stderr.contains("sk-secret"), "{}", ran.stderr);

    let doctor = run(&["doctor"]);
    let told = "waiting 1 request for a model (the language model refuses; the server's log says why)";
    assert!(doctor.code == 0 && doctor.stdout.contains(told), "{}", doctor.stdout);
    let export = run(&["export", "all.jsonl"]);
    assert!(export.code == 0 && export.stderr.contains("1 request to learn from"), "{}", export.stderr);
    assert_eq!(json_of(&run(&["export", "all.jsonl", "--json"]))["waiting"], 1);

    away.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    while json_of(&run(&["doctor", "--json"]))["waiting"] != 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(200));
        run(&["add", "I like tea.", "--user", "ben", "--infer"]);
    }
    assert_eq!(place.texts(&["list", "--user", "ana"]), ["Ana lives in Lisbon"]);
}

#[test]
fn who_asks_to_rerank_is_told_if_it_was_not_done() {
    let place = Place::new();
    place.add("ana", "Tea is what I like.");
    place.add("ana", "Coffee is what I like.");
    let search = ["search", "What do I like?", "--user", "ana", "--rerank"];
    let ran = place.run(&search);
    assert!(ran.code == 0 && ran.stderr.contains("MNEMON_RERANKER"), "{}", ran.stderr);
    let judge = Service::start(|_, asked| {
        let texts = asked.body["documents"].as_array().unwrap();
        let score = |text: &Value| if text.as_str().unwrap().starts_with("Coffee") { 0.75 } else { 0.25 };
        let rows: Vec<Value> =
            texts.iter().enumerate().map(|(at, text)| json!({"index": at, "relevance_score": score(text)})).collect();
        Reply::new("200 OK", &json!({"results": rows}))
    });
    let mut command = place.command(&[&search[..], &["--json"]].concat());
    command.env("MNEMON_RERANKER", "http:judge").env("MNEMON_RERANKER_URL", &judge.url);
    let answer = json_of(&Ran::of(&mut command));
    assert_eq!(
        (&answer["results"][0]["memory"], &answer["results"][0]["score"]),
        (&json!("Coffee is what I like."), &json!(0.75))
    );
}
