//! Tests of matching.

use serde_json::{Value, json};

use super::parse;
use crate::filter::Origin;

fn check(filter: Value, payload: Value, expected: bool) {
    let map = payload.as_object().unwrap();
    assert_eq!(parse(filter.clone()).matches(map), expected, "{filter} on {payload}");
}

/// Checks that the filter matches the first payloads and none of the others.
fn split<const N: usize, const M: usize>(filter: Value, matching: [Value; N], others: [Value; M]) {
    for payload in matching {
        check(filter.clone(), payload, true);
    }
    for payload in others {
        check(filter.clone(), payload, false);
    }
}

#[test]
fn equality_is_by_type_and_value() {
    split(
        json!({"k": "a"}),
        [json!({"k": "a"}), json!({"k": ["b", "a"]})],
        [
            json!({}),
            json!({"k": "A"}),
            json!({"k": " a"}),
            json!({"k": null}),
            json!({"k": {"a": 1}}),
            json!({"k": []}),
        ],
    );
    split(
        json!({"k": 1}),
        [json!({"k": 1}), json!({"k": 1.0}), json!({"k": [0, 1]})],
        [json!({"k": "1"}), json!({"k": true}), json!({"k": 1.5}), json!({"k": [[1]]})],
    );
    split(json!({"k": true}), [json!({"k": true})], [json!({"k": 1}), json!({"k": "true"}), json!({"k": false})]);
    split(json!({"k": -0.0}), [json!({"k": 0}), json!({"k": 0.0}), json!({"k": -0.0})], [json!({"k": 1e-300})]);
    split(
        json!({"k": 9_007_199_254_740_993_i64}),
        [json!({"k": 9_007_199_254_740_993_i64})],
        [json!({"k": 9_007_199_254_740_992_i64}), json!({"k": 9_007_199_254_740_992.0})],
    );
    check(json!({"k": u64::MAX}), json!({"k": u64::MAX}), true);
    check(json!({"k": u64::MAX}), json!({"k": -1}), false);
}

#[test]
fn complements_match_payloads_without_the_field() {
    split(
        json!({"k": {"ne": "a"}}),
        [json!({}), json!({"k": null}), json!({"k": "b"}), json!({"k": 1}), json!({"k": ["b"]})],
        [json!({"k": "a"}), json!({"k": ["b", "a"]})],
    );
    split(
        json!({"k": {"nin": ["a", "b"]}}),
        [json!({}), json!({"k": "c"}), json!({"k": ["c"]}), json!({"k": 3})],
        [json!({"k": "a"}), json!({"k": ["c", "b"]})],
    );
}

#[test]
fn any_of() {
    let payloads = || ([json!({"k": "a"}), json!({"k": ["z", "c"]})], [json!({}), json!({"k": "d"}), json!({"k": 1})]);
    let (matching, others) = payloads();
    split(json!({"k": ["c", "a", "b"]}), matching, others);
    let (matching, others) = payloads();
    split(json!({"k": {"in": ["a", "b", "c", "a"]}}), matching, others);
    split(json!({"k": [3, 1.5, 2.0]}), [json!({"k": 2}), json!({"k": 1.5}), json!({"k": 3.0})], [json!({"k": "3"})]);
    check(json!({"k": [true, false]}), json!({"k": false}), true);
    let many: Vec<_> = (0..10_000).map(|n| format!("id-{n}")).collect();
    check(json!({"k": many}), json!({"k": "id-9999"}), true);
    check(json!({"k": many}), json!({"k": "id-10000"}), false);
}

#[test]
fn ranges_of_numbers() {
    split(
        json!({"k": {"gte": 2, "lt": 5}}),
        [json!({"k": 2}), json!({"k": 4.999}), json!({"k": [1, 3]})],
        [json!({}), json!({"k": 5}), json!({"k": 1}), json!({"k": "3"}), json!({"k": true}), json!({"k": [1, 9]})],
    );
    check(json!({"k": {"gt": 9_007_199_254_740_992_i64}}), json!({"k": 9_007_199_254_740_993_i64}), true);
    check(json!({"k": {"gt": 1, "gte": 3}}), json!({"k": 2}), false);
    check(json!({"k": {"gt": 5, "lt": 3}}), json!({"k": 4}), false);
    check(json!({"k": {"gte": 1, "ne": 3}}), json!({"k": 3}), false);
    check(json!({"k": {"gte": 1, "ne": 3}}), json!({"k": 4}), true);
}

#[test]
fn ranges_of_instants() {
    split(
        json!({"created_at": {"gte": "2024-05-01", "lt": "2024-05-02T00:00:00Z"}}),
        [
            json!({"created_at": "2024-05-01"}),
            json!({"created_at": "2024-04-30T17:00:00-07:00"}),
            json!({"created_at": "2024-05-01 23:59:59.999999"}),
            json!({"created_at": 1_714_550_000}),
        ],
        [
            json!({"created_at": "2024-05-01T00:00:00+02:00"}),
            json!({"created_at": "2024-05-01T17:00:00-07:00"}),
            json!({"created_at": "yesterday"}),
            json!({"created_at": 1_714_660_000}),
            json!({"created_at": null}),
            json!({}),
        ],
    );
    check(json!({"t": {"lte": "9999-12-31T23:59:59Z"}}), json!({"t": "2024-05-01"}), true);
    // A day as a bound is the whole day.
    for (operator, start, noon, end, next) in [
        ("gte", true, true, true, true),
        ("gt", false, false, false, true),
        ("lte", true, true, true, false),
        ("lt", false, false, false, false),
    ] {
        for day in ["2024-05-31", " 2024-05-31 "] {
            let filter = json!({"t": {operator: day}});
            check(filter.clone(), json!({"t": "2024-05-31"}), start);
            check(filter.clone(), json!({"t": "2024-05-31T12:00:00+02:00"}), noon);
            check(filter.clone(), json!({"t": "2024-05-31 23:59:59.999999"}), end);
            check(filter.clone(), json!({"t": "2024-06-01T00:00:00Z"}), next);
            check(filter.clone(), json!({"t": "2024-05-30T23:59:59.999Z"}), operator.starts_with('l'));
            let instant = json!({"t": {operator: "2024-05-31T00:00:00Z"}});
            check(instant, json!({"t": "2024-05-31T12:00:00Z"}), operator.starts_with('g'));
        }
    }
    check(json!({"t": {"gte": "2024-05-31", "lte": "2024-05-31"}}), json!({"t": "2024-05-31T18:00:00Z"}), true);
    check(json!({"t": {"gt": "2024-05-30", "lt": "2024-06-01"}}), json!({"t": "2024-05-31T18:00:00Z"}), true);
    check(json!({"t": {"lte": "9999-12-31"}}), json!({"t": "9999-12-31T23:59:59.999999Z"}), true);
    // Equality compares the strings.
    check(json!({"t": "2024-05-01T00:00:00Z"}), json!({"t": "2024-05-01T00:00:00+00:00"}), false);
}

#[test]
fn contains_and_icontains() {
    split(
        json!({"data": {"contains": "Rust"}}),
        [json!({"data": "I like Rust."}), json!({"data": ["Go", "Rust"]})],
        [json!({"data": "rust"}), json!({"data": ["Rusty"]}), json!({"data": 1}), json!({})],
    );
    split(
        json!({"data": {"icontains": "RUST"}}),
        [json!({"data": "I like rusty nails"}), json!({"data": ["Rust"]})],
        [json!({"data": "Go"}), json!({"data": ["rusty"]}), json!({"data": null})],
    );
    check(json!({"data": {"icontains": "straße"}}), json!({"data": "In der STRAßE"}), true);
}

#[test]
fn presence() {
    split(
        json!({"k": "*"}),
        [json!({"k": 0}), json!({"k": ""}), json!({"k": false}), json!({"k": {}}), json!({"k": [null]})],
        [json!({}), json!({"k": null}), json!({"k": []})],
    );
    check(json!({"NOT": [{"k": "*"}]}), json!({}), true);
    check(json!({"k": {"eq": "*"}}), json!({"k": "a"}), false);
    check(json!({"k": {"eq": "*"}}), json!({"k": "*"}), true);
    check(json!({"k": ["*"]}), json!({"k": "a"}), false);
}

#[test]
fn dots_descend_if_the_literal_key_is_missing() {
    split(
        json!({"nested.source": "mail"}),
        [json!({"nested": {"source": "mail"}}), json!({"nested.source": "mail", "nested": {"source": "chat"}})],
        [
            json!({"nested": {"source": "chat"}}),
            json!({"nested.source": "chat", "nested": {"source": "mail"}}),
            json!({"nested": "mail"}),
            json!({"nested": [{"source": "mail"}]}),
            json!({"source": "mail"}),
        ],
    );
    check(json!({"a.b.c": [1, 2]}), json!({"a": {"b": {"c": 2}}}), true);
    check(json!({"a..c": 1}), json!({"a": {"": {"c": 1}}}), true);
}

#[test]
fn groups() {
    let filter = json!({"user_id": "u", "AND": [{"tag": "a"}, {"tag": "b"}]});
    check(filter.clone(), json!({"user_id": "u", "tag": ["a", "b"]}), true);
    check(filter, json!({"user_id": "u", "tag": "b"}), false);

    let two_ors = json!({"AND": [{"OR": [{"a": 1}, {"a": 2}]}, {"OR": [{"b": 1}, {"b": 2}]}]});
    check(two_ors.clone(), json!({"a": 1, "b": 2}), true);
    check(two_ors.clone(), json!({"a": 3, "b": 2}), false);
    check(two_ors, json!({"a": 1, "b": 3}), false);

    let both = json!({"OR": [{"a": 1}], "$or": [{"b": 1}]});
    check(both.clone(), json!({"a": 1}), false);
    check(both, json!({"a": 1, "b": 1}), true);

    split(
        json!({"NOT": [{"a": 1}, {"b": 1}]}),
        [json!({}), json!({"a": 2, "b": 2})],
        [json!({"a": 1, "b": 2}), json!({"a": 2, "b": 1})],
    );
    split(
        json!({"NOT": [{"a": 1, "b": 1}]}),
        [json!({"a": 1, "b": 2}), json!({"a": 2, "b": 1})],
        [json!({"a": 1, "b": 1})],
    );
    check(json!({"NOT": {"a": 1}}), json!({"a": 1}), false);
    check(json!({"k": {"ne": 1, "contains": "x"}}), json!({"k": "axb"}), true);
}

#[test]
fn scope_keys_compare_strings_only() {
    split(
        json!({"user_id": " 42 "}),
        [json!({"user_id": "42"})],
        [
            json!({"user_id": 42}),
            json!({"user_id": ["42"]}),
            json!({"user_id": " 42 "}),
            json!({"user_id": null}),
            json!({}),
        ],
    );
    check(json!({"agent_id": {"nin": ["a", "b"]}}), json!({"agent_id": "b"}), false);
    check(json!({"agent_id": {"ne": "a"}}), json!({}), true);
}

#[test]
fn metadata_comes_before_the_session_and_event_time_of_a_memory() {
    let origin = Origin { session: Some("monday"), event_time: Some("2024-05-06T09:00:00Z".parse().unwrap()) };
    let own = json!({"session": "mine", "event_time": 7});
    for (filter, without, with) in [
        (json!({"session": "monday"}), true, false),
        (json!({"session": "mine"}), false, true),
        (json!({"$session": "monday"}), true, true),
        (json!({"$session": {"ne": "monday"}}), false, false),
        (json!({"event_time": "2024-05-06T11:00:00+02:00"}), true, false),
        (json!({"event_time": 7}), false, true),
        (json!({"$event_time": {"gte": "2024-05-06", "lt": "2024-05-07"}}), true, true),
        (json!({"$event_time": {"in": ["2024-05-06T09:00:00.0Z", "2024-05-07T09:00:00Z"]}}), true, true),
        (json!({"$event_time": 1_714_986_000}), true, true),
        (json!({"$event_time": {"gt": 1_714_986_000}}), false, false),
        (json!({"NOT": [{"$event_time": "*"}]}), false, false),
    ] {
        let parsed = parse(filter.clone());
        assert!(parsed.reads_origin());
        assert_eq!(parsed.matches_with(&serde_json::Map::new(), origin), without, "{filter}");
        assert_eq!(parsed.matches_with(own.as_object().unwrap(), origin), with, "{filter} with metadata");
        // Without a session and an event time, only metadata can match.
        let positive = json!({"NOT": [filter.clone()]});
        assert_ne!(parsed.matches(&serde_json::Map::new()), parse(positive).matches(&serde_json::Map::new()));
    }
    assert!(!parse(json!({"user_id": "ana", "k": 1})).reads_origin());
}
