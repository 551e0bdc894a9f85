//! Property-based tests of filters.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::filter::{Filter, ScopeKey, ScopeTerm};

/// Any JSON; its keys often are words of the filter language.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["*", "", " a ", "2024-05-01", "2024-05-01T00:00:00-24:00"]).prop_map(Value::from),
    ];
    let words = vec![
        "AND",
        "OR",
        "NOT",
        "$and",
        "$or",
        "$not",
        "user_id",
        "run_id",
        "k",
        "a.b",
        "",
        "$x",
        "eq",
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "in",
        "nin",
        "contains",
        "icontains",
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        let key = prop_oneof![4 => prop::sample::select(words.clone()).prop_map(str::to_owned), 1 => "\\PC{0,4}"];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((key, inner), 0..5).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        (-2..3_i64).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(0.5)),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
    ];
    prop_oneof![number, any::<bool>().prop_map(Value::from), text()]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => prop::sample::select(vec!["a", "b", "Ab", "*", "2024-05-01", "2024-05-01 02:00:00+02:00"]).prop_map(Value::from),
        1 => "\\PC{0,8}".prop_map(Value::from),
    ]
}

fn id() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["u1", "u2", "u3", " u1 "]).prop_map(Value::from)
}

fn scope_key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["user_id", "agent_id", "run_id"])
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["k", "tag", "n.m", "created_at"])
}

fn condition() -> impl Strategy<Value = Value> {
    let date =
        prop::sample::select(vec!["2024-05-01", "2024-05-01T12:00:00.5-07:00", "9999-12-31T23:59:59Z", "0000-01-01"]);
    let operand = prop_oneof![
        scalar(),
        Just(json!("*")),
        vec(text(), 1..5).prop_map(Value::from),
        vec(-2..3_i64, 1..5).prop_map(Value::from),
        (prop::sample::select(vec!["eq", "ne"]), scalar()).prop_map(|(operator, value)| json!({operator: value})),
        (prop::sample::select(vec!["in", "nin"]), vec(text(), 1..5))
            .prop_map(|(operator, list)| json!({operator: list})),
        (prop::sample::select(vec!["contains", "icontains"]), text())
            .prop_map(|(operator, text)| json!({operator: text})),
        (-2..3_i64, -1.5..3.5).prop_map(|(low, high)| json!({"gte": low, "lt": high, "ne": 1})),
        (date.clone(), date).prop_map(|(low, high)| json!({"gt": low, "lte": high})),
    ];
    let ids = prop_oneof![
        4 => id(),
        1 => vec(id(), 1..4).prop_map(Value::from),
        1 => (prop::sample::select(vec!["in", "nin"]), vec(id(), 1..4)).prop_map(|(operator, ids)| json!({operator: ids})),
        1 => id().prop_map(|id| json!({"ne": id})),
    ];
    prop_oneof![
        3 => (key(), operand).prop_map(|(key, operand)| json!({key: operand})),
        2 => (scope_key(), ids).prop_map(|(key, operand)| json!({key: operand})),
    ]
}

fn filter_json() -> impl Strategy<Value = Value> {
    condition().prop_recursive(4, 24, 4, |inner| {
        let operator = prop::sample::select(vec!["AND", "OR", "NOT", "$and", "$or", "$not"]);
        prop_oneof![
            (operator, vec(inner.clone(), 1..4)).prop_map(|(operator, parts)| json!({operator: parts})),
            vec(inner, 1..4).prop_map(|parts| {
                let maps = parts.into_iter().filter_map(|part| part.as_object().cloned());
                Value::Object(maps.flatten().collect())
            }),
        ]
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    filter_json().prop_map(|json| Filter::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}")))
}

/// Any filter, including those that JSON can't express.
fn any_filter() -> impl Strategy<Value = Filter> {
    let any_id = || prop::sample::select(ScopeKey::ALL.to_vec()).prop_map(Filter::has_scope);
    prop_oneof![
        3 => filter(),
        1 => any_id(),
        2 => (filter(), any_id(), any::<[bool; 3]>()).prop_map(|(filter, any, [both, negated, whole])| {
            let any = if negated { !any } else { any };
            let joined = if both { filter.and(any) } else { filter.or(any) };
            if whole { joined } else { !joined }
        }),
    ]
}

fn payload() -> impl Strategy<Value = Map<String, Value>> {
    let element = prop_oneof![4 => scalar(), 1 => Just(Value::Null)];
    let value = prop_oneof![
        3 => element.clone(),
        1 => vec(element, 0..4).prop_map(Value::from),
        1 => scalar().prop_map(|value| json!({"m": value})),
    ];
    let fields = vec((prop::sample::select(vec!["k", "tag", "n", "n.m", "created_at"]), value), 0..5);
    let ids =
        vec((scope_key(), prop_oneof![6 => id(), 1 => scalar(), 1 => vec(id(), 0..3).prop_map(Value::from)]), 0..4);
    (fields, ids)
        .prop_map(|(fields, ids)| fields.into_iter().chain(ids).map(|(key, value)| (key.to_owned(), value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_parser_never_panics(json in any_json(), payload in payload()) {
        match Filter::parse(&json) {
            Ok(filter) => {
                filter.matches(&payload);
                prop_assert_eq!(Filter::parse(&filter.to_value()), Ok(filter));
            }
            Err(error) => prop_assert!(error.to_string().starts_with(error.path()) && !error.path().is_empty()),
        }
    }

    #[test]
    fn filters_round_trip_through_json(filter in filter(), payload in payload()) {
        let text = filter.to_string();
        let back = Filter::parse(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(&back, &filter);
        prop_assert_eq!(back.matches(&payload), filter.matches(&payload));
    }

    #[test]
    fn and_or_not_are_all_any_none(jsons in vec(filter_json(), 1..4), payload in payload()) {
        let parts: Vec<_> = jsons.iter().map(|json| Filter::parse(json).unwrap().matches(&payload)).collect();
        for (operator, expected) in [
            ("AND", parts.iter().all(|part| *part)),
            ("OR", parts.iter().any(|part| *part)),
            ("NOT", !parts.iter().any(|part| *part)),
        ] {
            prop_assert_eq!(Filter::parse(&json!({operator: jsons})).unwrap().matches(&payload), expected);
        }
    }

    #[test]
    fn de_morgan(left in any_filter(), right in any_filter(), payload in payload()) {
        let neither = !left.clone().or(right.clone());
        let both_not = (!left.clone()).and(!right.clone());
        prop_assert_eq!(neither.matches(&payload), both_not.matches(&payload));
        let not_both = !left.clone().and(right.clone());
        prop_assert_eq!(not_both.matches(&payload), (!left).or(!right).matches(&payload));
    }

    #[test]
    fn an_operator_and_its_complement_disagree(key in key(), list in vec(text(), 1..4), payload in payload()) {
        for (operator, complement, operand) in [("eq", "ne", list[0].clone()), ("in", "nin", Value::from(list))] {
            let yes = Filter::operator(key, operator, operand.clone()).unwrap();
            let no = Filter::operator(key, complement, operand).unwrap();
            prop_assert_ne!(yes.matches(&payload), no.matches(&payload));
        }
    }

    #[test]
    fn every_match_satisfies_the_scope_terms(filter in any_filter(), payload in payload()) {
        let scope = filter.scope();
        if filter.matches(&payload) {
            for key in ScopeKey::ALL {
                let id = payload.get(key.as_str()).and_then(Value::as_str);
                match scope.term(key) {
                    ScopeTerm::Free => {}
                    ScopeTerm::Pinned(pinned) => prop_assert_eq!(id, Some(*pinned)),
                    ScopeTerm::AnyOf(ids) => prop_assert!(id.is_some_and(|id| ids.contains(&id))),
                    ScopeTerm::Contradiction => prop_assert!(false, "{} matched", filter),
                }
            }
        }
    }

    #[test]
    fn a_pinned_user_excludes_all_others(json in filter_json(), payload in payload(), deep: bool) {
        let pin = Filter::eq("user_id", "u1").unwrap();
        let pinned = if deep {
            Filter::parse(&json!({"AND": [{"AND": [pin.to_value()]}, json]})).unwrap()
        } else {
            Filter::parse(&json).unwrap().and(pin)
        };
        let scope = pinned.scope();
        prop_assert!(scope.pinned(ScopeKey::User) == Some("u1") || scope.is_contradiction());
        if pinned.matches(&payload) {
            prop_assert_eq!(payload.get("user_id"), Some(&Value::from("u1")));
        }
    }

    #[test]
    fn scope_only_filters_are_decided_by_pinned_ids(filter in any_filter(), payload in payload()) {
        if filter.is_scope_only() {
            let scope = filter.scope();
            let by_pins = ScopeKey::ALL.into_iter().all(|key| {
                scope.pinned(key).is_none_or(|id| payload.get(key.as_str()).and_then(Value::as_str) == Some(id))
            });
            prop_assert_eq!(by_pins, filter.matches(&payload));
        }
    }
}
