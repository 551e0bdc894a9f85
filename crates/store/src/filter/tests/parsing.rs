//! Tests of the parser and its errors.

use serde_json::{Value, json};

use super::parse;
use crate::filter::{Filter, FilterError, MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_ITEMS};

fn error(json: &Value) -> FilterError {
    match Filter::parse(json) {
        Ok(filter) => panic!("{json} was read as {filter}"),
        Err(error) => error,
    }
}

/// Checks that the filter is refused with an error for this path that contains these words.
fn check(json: Value, path: &str, words: &str) {
    let error = error(&json);
    assert_eq!(error.path(), path, "{json}: {error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{path}: ")) && text.contains(words), "{json}: {text}");
}

/// Checks the normal form of a filter.
fn reads(json: Value, normal: Value) {
    assert_eq!(parse(json).to_value(), normal);
}

#[test]
fn normal_form() {
    reads(json!({"k": ["a"]}), json!({"k": "a"}));
    reads(json!({"k": {"in": ["b", "a", "b"]}}), json!({"k": {"in": ["a", "b"]}}));
    reads(json!({"k": {"nin": [1.0, 1]}}), json!({"k": {"ne": 1}}));
    reads(json!({"a": 1, "b": 2}), json!({"AND": [{"a": 1}, {"b": 2}]}));
    reads(json!({"$and": [{"a": 1}, {"AND": {"b": 2}}]}), json!({"AND": [{"a": 1}, {"b": 2}]}));
    reads(json!({"$or": [{"OR": [{"a": 1}]}]}), json!({"a": 1}));
    reads(json!({"$not": [{"a": 1}, {"b": 2}]}), json!({"NOT": [{"a": 1}, {"b": 2}]}));
    reads(json!({"NOT": [{"NOT": [{"a": 1}]}]}), json!({"a": 1}));
    reads(json!({"a": {"lt": 5, "ne": 3, "gte": 1}}), json!({"AND": [{"a": {"ne": 3}}, {"a": {"gte": 1, "lt": 5}}]}));
    reads(json!({"t": {"gt": "2024-05-01 02:00+02:00"}}), json!({"t": {"gt": "2024-05-01T00:00:00Z"}}));
    reads(json!({"user_id": {"eq": " ana "}}), json!({"user_id": "ana"}));
    reads(json!({"run_id": ["b", " a", "a"]}), json!({"run_id": {"in": ["a", "b"]}}));
    reads(json!({"k": "*"}), json!({"k": "*"}));
    reads(json!({"k": {"eq": "*"}}), json!({"k": {"eq": "*"}}));
    reads(json!({"or": "x"}), json!({"or": "x"}));
    for key in ["", "$", "$x", "$nor", "$session", "a.b", "."] {
        reads(json!({key: 1}), json!({key: 1}));
    }
}

#[test]
fn structure_errors() {
    check(json!([]), "filters", "must be an object");
    check(json!("filters={'user_id': 'a'}"), "filters", "not a string");
    check(json!({}), "filters", "empty object");
    check(json!({"AND": []}), "AND", "the list is empty");
    check(json!({"OR": []}), "OR", "the list is empty");
    check(json!({"$not": []}), "$not", "the list is empty");
    check(json!({"AND": [{"a": 1}, {}]}), "AND[1]", "empty object");
    check(json!({"NOT": {}}), "NOT", "empty object");
    check(json!({"AND": "a"}), "AND", "needs a list");
    check(json!({"AND": null}), "AND", "needs a list, not null");
    check(json!({"AND": [["a"]]}), "AND[0]", "must be an object");
    check(json!({"$nor": [{"a": 1}]}), "$nor[0]", "AND, OR, NOT");
    check(json!({"or": [{"a": 1}]}), "or[0]", "written AND, OR, NOT");
    check(json!({"k".repeat(99): null}), &format!("{}…", "k".repeat(64)), "null");
}

#[test]
fn value_errors() {
    check(json!({"k": null}), "k", "\"NOT\"");
    check(json!({"k": {"ne": null}}), "k.ne", "null");
    check(json!({"k": {"gt": null}}), "k.gt", "null");
    check(json!({"k": ["a", null]}), "k[1]", "null");
    check(json!({"k": []}), "k", "the list is empty");
    check(json!({"k": {"in": []}}), "k.in", "the list is empty");
    check(json!({"k": {"nin": "a"}}), "k.nin", "needs a list, not a string");
    check(json!({"k": {"eq": ["a"]}}), "k.eq", "not a list");
    check(json!({"k": ["a", 1]}), "k[1]", "a number in a list that began with a string");
    check(json!({"k": [1, true]}), "k[1]", "a boolean");
    check(json!({"k": [["a"]]}), "k[0]", "not a list");
    check(json!({"k": {}}), "k", "empty object");
    check(json!({"k": {"source": "x"}}), "k.source", "dotted key");
    check(json!({"k": {"$gt": 1}}), "k.$gt", "unknown operator");
    check(json!({"k": {"gt": 1, "like": "x"}}), "k.like", "unknown operator");
    check(json!({"k": {"contains": 1}}), "k.contains", "needs a string, not a number");
    check(json!({"k": {"icontains": null}}), "k.icontains", "null");
}

#[test]
fn range_errors() {
    check(json!({"AND": [{"a": 1}, {"priority": {"gte": "high"}}]}), "AND[1].priority.gte", "ISO 8601");
    check(json!({"k": {"lt": true}}), "k.lt", "not a boolean");
    check(json!({"k": {"lt": [1]}}), "k.lt", "not a list");
    check(json!({"k": {"lt": "5"}}), "k.lt", "not a date");
    check(json!({"k": {"gt": 1, "lt": "2024-05-01"}}), "k", "all be numbers or all be dates");
}

#[test]
fn scope_keys_accept_ids_only() {
    for key in ["user_id", "agent_id", "run_id"] {
        for (value, words) in [
            (json!("*"), "name one id"),
            (json!(" * "), "name one id"),
            (json!(""), "is empty"),
            (json!(" \t"), "is empty"),
            (json!("a b"), "white space"),
            (json!("a\u{1c}b"), "white space"),
            (json!("a\u{a0}b"), "white space"),
            (json!(null), "null"),
            (json!(42), "must be a string"),
            (json!(true), "must be a string"),
        ] {
            check(json!({key: value}), key, words);
            check(json!({key: {"eq": value}}), &format!("{key}.eq"), words);
            check(json!({key: {"ne": value}}), &format!("{key}.ne"), words);
            check(json!({key: ["a", value]}), &format!("{key}[1]"), words);
            check(json!({key: {"in": [value]}}), &format!("{key}.in[0]"), words);
            check(json!({key: {"nin": ["a", value]}}), &format!("{key}.nin[1]"), words);
            check(json!({"a": 1, "OR": [{"NOT": {key: value}}, {"b": 1}]}), &format!("OR[0].NOT.{key}"), words);
        }
        check(json!({key: []}), key, "the list is empty");
        check(json!({key: {}}), key, "empty object");
        check(json!({key: {"eq": ["a"]}}), &format!("{key}.eq"), "must be a string");
        check(json!({key: {"contains": "a"}}), &format!("{key}.contains"), "whole ids only");
        check(json!({key: {"gte": "2024-01-01"}}), &format!("{key}.gte"), "whole ids only");
        check(json!({key: {"like": "a"}}), &format!("{key}.like"), "unknown operator");
    }
}

fn nested(operator: &str, levels: usize) -> Value {
    (0..levels).fold(json!({"k": 1}), |inner, _| json!({operator: [inner]}))
}

#[test]
fn limits() {
    for operator in ["AND", "OR", "NOT", "$and"] {
        assert!(Filter::parse(&nested(operator, MAX_DEPTH)).is_ok());
        assert!(matches!(error(&nested(operator, MAX_DEPTH + 1)), FilterError::TooDeep { .. }));
        assert!(matches!(error(&nested(operator, 4 * MAX_DEPTH)), FilterError::TooDeep { .. }));
    }
    let siblings = (0..MAX_DEPTH).fold(json!({"k": 1}), |inner, _| json!({"a": 1, "OR": [inner]}));
    assert!(matches!(error(&siblings), FilterError::TooDeep { .. }));

    let conditions = |count: usize| json!({"OR": (0..count).map(|n| json!({"k": n})).collect::<Vec<_>>()});
    assert!(Filter::parse(&conditions(MAX_CONDITIONS)).is_ok());
    assert!(matches!(error(&conditions(MAX_CONDITIONS + 1)), FilterError::TooManyConditions { .. }));

    let items = |count: usize| json!({"a": [1, 2], "k": (0..count - 2).collect::<Vec<_>>()});
    assert!(Filter::parse(&items(MAX_LIST_ITEMS)).is_ok());
    check(items(MAX_LIST_ITEMS + 1), "k", "10000 list items");
    let ids: Vec<_> = (0..=MAX_LIST_ITEMS).map(|n| n.to_string()).collect();
    check(json!({"user_id": {"nin": ids}}), "user_id.nin", "list items");
}

#[test]
fn constructors_apply_the_rules_of_the_parser() {
    let filter = Filter::eq("user_id", " ana ").unwrap().and(Filter::one_of("tag", ["b", "a"]).unwrap());
    assert_eq!(filter.to_string(), r#"{"AND":[{"user_id":"ana"},{"tag":{"in":["a","b"]}}]}"#);
    let filter = filter.and(!Filter::exists("absent").unwrap().or(Filter::ne("n", 1).unwrap()));
    assert_eq!(
        filter.to_value(),
        json!({"AND": [{"user_id": "ana"}, {"tag": {"in": ["a", "b"]}}, {"NOT": [{"absent": "*"}, {"n": {"ne": 1}}]}]})
    );
    assert_eq!(Filter::operator("n", "gte", 2.into()), Ok(parse(json!({"n": {"gte": 2}}))));
    assert_eq!(Filter::all([]), None);
    assert_eq!(Filter::any([parse(json!({"a": 1}))]), Some(parse(json!({"a": 1}))));
    for refused in [
        Filter::eq("user_id", "*"),
        Filter::eq("AND", "x"),
        Filter::eq("$and", "x"),
        Filter::eq("k", Value::Null),
        Filter::exists("run_id"),
        Filter::one_of("k", Vec::<i64>::new()),
        Filter::operator("k", "like", "x".into()),
    ] {
        assert!(refused.is_err(), "{refused:?}");
    }
}
