//! `search`: the right memory, the right owner, and why.

use serde_json::{Value, json};

use crate::place::{Place, check_refused};

fn place() -> Place {
    let place = Place::new();
    for (text, topic, weight) in [
        ("My sister Clara plays the violin in Vienna", "family", 3),
        ("I am allergic to peanuts", "health", 5),
        ("The car needs new tyres before winter", "car", 1),
    ] {
        let (topic, weight) = (format!("topic={topic}"), format!("weight={weight}"));
        let ran = place.run(&["add", text, "--user", "ana", "--name", "Ana", "-m", &topic, "-m", &weight]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    place.add("bea", "My allergy is against cats");
    place
}

#[test]
fn the_answer_is_an_item_of_mem0_with_a_score() {
    let place = place();
    let answer =
        place.json(&["search", "which food is Ana allergic to?", "--user", "ana", "--top-k", "1", "--explain"]);
    place.snapshot_json("search", &answer);
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
fn people_read_what_made_it_rank() {
    let place = place();
    let ran = place.run(&["search", "what is Ana allergic to?", "--user", "ana", "-k", "1", "--explain"]);
    assert_eq!(ran.code, 0);
    for part in ["I am allergic to peanuts", "Ana · ", "close in meaning", "said by the one asked about"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    let mem0 = place.json(&["search", "allergic", "--user", "ana", "--profile", "mem0", "--explain"]);
    assert_eq!(mem0["ranking"], "mem0");
    assert_eq!(mem0["results"][0]["explanation"]["signals"][0]["name"], "semantic");
}

#[test]
fn nobody_finds_what_is_not_theirs() {
    let place = place();
    let all = ["--threshold", "0", "-k", "1000"];
    for (user, texts) in [("ana", 3), ("bea", 1), ("nobody", 0)] {
        assert_eq!(
            place.texts(&[&["search", "allergy cats", "--user", user][..], &all].concat()).len(),
            texts,
            "{user}"
        );
    }
    // The filter narrows the scope; it never widens it.
    let stolen = r#"{"OR": [{"user_id": "bea"}, {"topic": "health"}]}"#;
    let found = place.texts(&[&["search", "allergy", "--user", "ana", "--filter", stolen][..], &all].concat());
    assert_eq!(found, ["I am allergic to peanuts"]);
    let other = place.texts(&["search", "allergy", "--user", "ana", "--filter", r#"{"user_id": "bea"}"#]);
    assert_eq!(other, [] as [&str; 0]);
}

#[test]
fn filters_are_those_of_mem0() {
    let place = place();
    for (filter, count) in [
        (r#"{"topic": "car"}"#, 1),
        (r#"{"weight": {"gte": 3}}"#, 2),
        (r#"{"topic": {"in": ["car", "family"]}}"#, 2),
        (r#"{"NOT": [{"topic": "car"}]}"#, 2),
        (r#"{"topic": "*"}"#, 3),
        (r#"{"missing": "*"}"#, 0),
    ] {
        let args = ["search", "anything", "--user", "ana", "--threshold", "0", "--filter", filter];
        assert_eq!(place.texts(&args).len(), count, "{filter}");
    }
    assert_eq!(place.texts(&["search", "peanuts", "--filter", r#"{"user_id": "ana"}"#]).len(), 3);
}

#[test]
fn expired_memories_are_shown_on_request() {
    let place = Place::new();
    place.run(&["add", "The sale ends today", "--user", "ana", "--expires", "2020-01-01"]);
    let question = ["search", "sale", "--user", "ana"];
    assert_eq!(place.texts(&question).len(), 0);
    assert_eq!(place.run(&question).stderr, "nothing found\n");
    assert_eq!(place.texts(&[&question[..], &["--show-expired"]].concat()).len(), 1);
    assert_eq!(place.texts(&["list", "--user", "ana"]).len(), 0);
    assert_eq!(place.texts(&["list"]).len(), 0);
    assert_eq!(place.texts(&["list", "--user", "ana", "--show-expired"]).len(), 1);
}

#[test]
fn a_hostile_memory_does_not_steer_the_terminal() {
    let place = Place::new();
    place.add("ana", "red \u{1b}[31m alert\r\nnext\u{7}\u{202e}line");
    for args in [&["search", "alert", "--user", "ana"][..], &["list"]] {
        let ran = place.run(args);
        assert!(!ran.stdout.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']), "{:?}", ran.stdout);
    }
    assert!(place.texts(&["list"])[0].contains("\u{1b}[31m"));
}

#[test]
fn wrong_calls_say_what_is_right() {
    let place = place();
    for (args, hint) in [
        (&["search", "x"][..], "--user"),
        (&["search", " ", "--user", "ana"], "blank"),
        (&["search", "x", "--user", "ana", "-k", "0"], "1 to 1000"),
        (&["search", "x", "--user", "ana", "-k", "many"], "invalid value"),
        (&["search", "x", "--user", "ana", "--threshold", "1.5"], "0 to 1"),
        (&["search", "x", "--user", "ana", "--filter", "{"], "--filter is no JSON"),
        (&["search", "x", "--user", "ana", "--filter", "{}"], "empty object"),
        (&["search", "x", "--user", "ana", "--filter", r#"{"a": {"near": 1}}"#], "unknown operator"),
        (&["search", "x", "--filter", r#"{"topic": "car"}"#], "user_id"),
        (&["search", "x", "--filter", r#"{"user_id": "*"}"#], "name one id"),
        (&["search", "x", "--user", "ana", "--profile", "best"], "fusion"),
        (&["search"], "QUERY"),
    ] {
        check_refused(&place, args, 2, hint);
    }
}

#[test]
fn scores_are_told_with_the_digits_they_have() {
    let place = place();
    let answer = place.json(&["search", "violin", "--user", "ana"]);
    for hit in answer["results"].as_array().unwrap() {
        let Value::Number(score) = &hit["score"] else { panic!("no score") };
        assert!(score.to_string().len() <= 12, "{score}");
    }
    assert_eq!(answer["results"][0]["metadata"], json!({"topic": "family", "weight": 3}));
}
