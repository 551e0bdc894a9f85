//! `mnemon search`: hits, scopes, filters and explanations.

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, check_refused};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (text, topic, weight) in [
        ("My sister Clara plays the violin in Vienna", "family", 3),
        ("I am allergic to peanuts", "health", 5),
        ("The car needs new tyres before winter", "car", 1),
    ] {
        let (topic, weight) = (format!("topic={topic}"), format!("weight={weight}"));
        let result = sandbox.run(&["add", text, "--user", "ana", "--name", "Ana", "-m", &topic, "-m", &weight]);
        assert_eq!(result.code, 0, "{}", result.stderr);
    }
    sandbox.add("bea", "My allergy is against cats");
    sandbox
}

#[test]
fn hits_are_mem0_items_with_scores() {
    let sandbox = sandbox();
    let answer =
        sandbox.json(&["search", "which food is Ana allergic to?", "--user", "ana", "--top-k", "1", "--explain"]);
    sandbox.snapshot_json("search", &answer);
    let hit = &answer["results"][0];
    let sum: f64 = hit["explanation"]["signals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|signal| signal["value"].as_f64().unwrap() * signal["weight"].as_f64().unwrap())
        .sum();
    assert!((sum - hit["explanation"]["raw_score"].as_f64().unwrap()).abs() < 1e-4);
}

#[test]
fn explain_shows_signals_in_words() {
    let sandbox = sandbox();
    let result = sandbox.run(&["search", "what is Ana allergic to?", "--user", "ana", "-k", "1", "--explain"]);
    assert_eq!(result.code, 0);
    for part in ["I am allergic to peanuts", "Ana · ", "close in meaning", "said by the person in the query"] {
        assert!(result.stdout.contains(part), "{part}: {}", result.stdout);
    }
    assert!(result.stdout.lines().all(|line| line.chars().count() <= 100), "{}", result.stdout);
    let mem0 = sandbox.json(&["search", "allergic", "--user", "ana", "--profile", "mem0", "--explain"]);
    assert_eq!(mem0["ranking"], "mem0");
    assert_eq!(mem0["results"][0]["explanation"]["signals"][0]["name"], "semantic");
}

#[test]
fn search_is_limited_to_the_scope() {
    let sandbox = sandbox();
    let all = ["--threshold", "0", "-k", "1000"];
    for (user, texts) in [("ana", 3), ("bea", 1), ("nobody", 0)] {
        assert_eq!(
            sandbox.texts(&[&["search", "allergy cats", "--user", user][..], &all].concat()).len(),
            texts,
            "{user}"
        );
    }
    // A filter can narrow the scope but not widen it.
    let stolen = r#"{"OR": [{"user_id": "bea"}, {"topic": "health"}]}"#;
    let found = sandbox.texts(&[&["search", "allergy", "--user", "ana", "--filter", stolen][..], &all].concat());
    assert_eq!(found, ["I am allergic to peanuts"]);
    let other = ["search", "allergy", "--user", "ana", "--filter", r#"{"user_id": "bea"}"#];
    check_refused(&sandbox, &other, 2, "`ana` and `bea` at once");
}

#[test]
fn mem0_filters_are_supported() {
    let sandbox = sandbox();
    for (filter, count) in [
        (r#"{"topic": "car"}"#, 1),
        (r#"{"weight": {"gte": 3}}"#, 2),
        (r#"{"topic": {"in": ["car", "family"]}}"#, 2),
        (r#"{"NOT": [{"topic": "car"}]}"#, 2),
        (r#"{"topic": "*"}"#, 3),
        (r#"{"missing": "*"}"#, 0),
    ] {
        let args = ["search", "anything", "--user", "ana", "--threshold", "0", "--filter", filter];
        assert_eq!(sandbox.texts(&args).len(), count, "{filter}");
    }
    assert_eq!(sandbox.texts(&["search", "peanuts", "--filter", r#"{"user_id": "ana"}"#]).len(), 3);
}

#[test]
fn expired_memories_are_shown_on_request() {
    let sandbox = Sandbox::new();
    sandbox.run(&["add", "The sale ends today", "--user", "ana", "--expires", "2020-01-01"]);
    let question = ["search", "sale", "--user", "ana"];
    assert_eq!(sandbox.texts(&question).len(), 0);
    assert_eq!(sandbox.run(&question).stderr, "nothing found\n");
    assert_eq!(sandbox.texts(&[&question[..], &["--show-expired"]].concat()).len(), 1);
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]).len(), 0);
    assert_eq!(sandbox.texts(&["list"]).len(), 0);
    assert_eq!(sandbox.texts(&["list", "--user", "ana", "--show-expired"]).len(), 1);
}

#[test]
fn control_characters_are_removed_from_text_output() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "red \u{1b}[31m alert\r\nnext\u{7}\u{202e}line");
    for args in [&["search", "alert", "--user", "ana"][..], &["list"]] {
        let result = sandbox.run(args);
        assert!(!result.stdout.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']), "{:?}", result.stdout);
    }
    assert!(sandbox.texts(&["list"])[0].contains("\u{1b}[31m"));
}

#[test]
fn invalid_arguments_are_explained() {
    let sandbox = sandbox();
    for (args, hint) in [
        (&["search", "x"][..], "--user"),
        (&["search", " ", "--user", "ana"], "blank"),
        (&["search", "x", "--user", "ana", "-k", "0"], "1 to 1000"),
        (&["search", "x", "--user", "ana", "-k", "many"], "invalid value"),
        (&["search", "x", "--user", "ana", "--threshold", "1.5"], "0 to 1"),
        (&["search", "x", "--user", "ana", "--filter", "{"], "--filter is not valid JSON"),
        (&["search", "x", "--user", "ana", "--filter", "{}"], "empty object"),
        (&["search", "x", "--user", "ana", "--filter", r#"{"a": {"near": 1}}"#], "unknown operator"),
        (&["search", "x", "--filter", r#"{"topic": "car"}"#], "user_id"),
        (&["search", "x", "--filter", r#"{"user_id": "*"}"#], "name one id"),
        (&["search", "x", "--user", "ana", "--profile", "best"], "fusion"),
        (&["search"], "QUERY"),
    ] {
        check_refused(&sandbox, args, 2, hint);
    }
}

#[test]
fn scores_have_no_spurious_digits() {
    let sandbox = sandbox();
    let answer = sandbox.json(&["search", "violin", "--user", "ana"]);
    for hit in answer["results"].as_array().unwrap() {
        let Value::Number(score) = &hit["score"] else { panic!("no score") };
        assert!(score.to_string().len() <= 12, "{score}");
    }
    assert_eq!(answer["results"][0]["metadata"], json!({"topic": "family", "weight": 3}));
}
