//! Tests of the conditions on the owner.

use serde_json::{Value, json};

use super::parse;
use crate::Scope;
use crate::filter::{Filter, FilterError, InvalidScopeId, ScopeKey, ScopeTerm};

fn check(filter: Value, user: ScopeTerm<'_>, scope_only: bool) {
    let parsed = parse(filter.clone());
    assert_eq!(parsed.scope().term(ScopeKey::User), &user, "{filter}");
    assert_eq!(parsed.is_scope_only(), scope_only, "{filter}");
}

#[test]
fn terms_of_the_user() {
    use ScopeTerm::*;
    check(json!({"user_id": "a"}), Pinned("a"), true);
    check(json!({"user_id": ["a"]}), Pinned("a"), true);
    check(json!({"user_id": {"in": ["a", " a"]}}), Pinned("a"), true);
    check(json!({"user_id": "a", "tag": 1}), Pinned("a"), false);
    check(json!({"tag": 1, "AND": [{"AND": [{"AND": {"user_id": "a"}}]}]}), Pinned("a"), false);
    check(json!({"user_id": "a", "AND": [{"user_id": "a"}]}), Pinned("a"), true);
    check(json!({"OR": [{"user_id": "a"}]}), Pinned("a"), true);
    check(json!({"OR": [{"user_id": "a", "x": 1}, {"user_id": "a"}]}), Pinned("a"), false);
    check(json!({"user_id": ["a", "b"]}), AnyOf(vec!["a", "b"]), false);
    check(json!({"OR": [{"user_id": "b"}, {"user_id": "a", "x": 1}]}), AnyOf(vec!["a", "b"]), false);
    check(json!({"user_id": ["a", "b"], "AND": [{"user_id": ["b", "c"]}]}), Pinned("b"), false);
    check(json!({"AND": [{"user_id": "a"}, {"user_id": "b"}]}), Contradiction, false);
    check(json!({"user_id": {"eq": "a", "in": ["b", "c"]}}), Contradiction, false);
    check(json!({"user_id": {"ne": "a"}}), Free, false);
    check(json!({"user_id": "a", "NOT": [{"user_id": "a"}]}), Pinned("a"), false);
    check(json!({"NOT": [{"user_id": "a"}]}), Free, false);
    check(json!({"OR": [{"user_id": "a"}, {"agent_id": "b"}]}), Free, false);
    check(json!({"OR": [{"user_id": "a"}, {"x": 1}]}), Free, false);
    check(json!({"x": "*"}), Free, false);
}

#[test]
fn terms_of_all_keys() {
    let filter = parse(json!({"user_id": "a", "AND": [{"run_id": ["r"]}, {"agent_id": ["x", "y"]}]}));
    let scope = filter.scope();
    assert_eq!(ScopeKey::ALL.map(|key| scope.pinned(key)), [Some("a"), None, Some("r")]);
    assert!(scope.any_pinned() && !scope.is_contradiction());
    assert!(parse(json!({"agent_id": "x", "run_id": "r"})).is_scope_only());

    let contradiction = parse(json!({"agent_id": "x", "AND": [{"user_id": "a"}, {"user_id": "b"}]}));
    assert!(contradiction.scope().is_contradiction() && contradiction.scope().any_pinned());
    for unpinned in [json!({"agent_id": ["x", "y"]}), json!({"user_id": {"ne": "a"}}), json!({"x": 1})] {
        assert!(!parse(unpinned).scope().any_pinned());
    }
}

#[test]
fn two_values_that_are_required_at_once_are_named() {
    for (filter, expected) in [
        (json!({"AND": [{"k": "a"}, {"k": "b"}]}), Some(["a", "b"])),
        (json!({"k": "a", "AND": [{"x": 1, "AND": {"k": "b"}}]}), Some(["a", "b"])),
        (json!({"k": {"eq": "a", "in": ["b", "c"]}}), Some(["a", "b, c"])),
        (json!({"OR": [{"k": "b"}, {"k": "a", "x": 1}], "k": "c"}), Some(["a, b", "c"])),
        (json!({"x": 1, "AND": [{"k": ["a", "b"]}, {"k": ["b", "c"]}, {"k": "a"}]}), Some(["b", "a"])),
        (json!({"k": "a", "AND": [{"k": " a ", "x": 1}]}), None),
        (json!({"k": ["a", "b"], "AND": [{"k": "b"}]}), None),
        (json!({"OR": [{"k": "a"}, {"k": "b"}]}), None),
        (json!({"k": "a", "NOT": [{"k": "b"}]}), None),
        (json!({"k": "a", "AND": [{"k": {"ne": "b"}}]}), None),
        (json!({"k": "a", "other": "b"}), None),
    ] {
        for key in ["user_id", "agent_id", "run_id", "app_id"] {
            // Only ids of the scope are trimmed.
            let text = filter.to_string().replace("\"k\"", &format!("\"{key}\"")).replace("\" a \"", "\"a\"");
            let found = parse(serde_json::from_str(&text).unwrap()).conflict(key);
            assert_eq!(found, expected.map(|pair| pair.map(str::to_owned)), "{text}");
        }
    }
}

#[test]
fn filters_of_scopes_compare_ids_unchanged() {
    let scope = Scope { user_id: Some(" an odd id ".into()), agent_id: None, run_id: Some("*".into()) };
    let filter = Filter::of_scope(&scope).unwrap();
    assert_eq!(Scope::pinned_by(&filter), scope);
    assert!(filter.is_scope_only());
    assert_eq!(Filter::of_scope(&Scope::user("a").unwrap()), Some(Filter::eq("user_id", "a").unwrap()));
    assert_eq!(Filter::of_scope(&Scope::default()), None);
}

#[test]
fn has_scope_pins_no_id_and_is_not_read_from_json() {
    for key in ScopeKey::ALL {
        let any = Filter::has_scope(key);
        assert_eq!(any.scope().term(key), &ScopeTerm::Free);
        assert!(!any.is_scope_only() && !any.scope().any_pinned() && !any.scope().is_contradiction());
        let payload = |value: Value| [(key.as_str().to_owned(), value)].into_iter().collect();
        for (value, expected) in
            [(json!("a"), true), (json!(42), false), (Value::Null, false), (json!(["a"]), false), (json!({}), false)]
        {
            assert_eq!(any.matches(&payload(value.clone())), expected, "{value}");
            assert_eq!((!any.clone()).matches(&payload(value)), !expected);
        }
        assert!(!any.matches(&serde_json::Map::new()));
        let written = any.to_value();
        assert_eq!(written, json!({key.as_str(): "*"}));
        let refused = Filter::parse(&written).unwrap_err();
        assert!(matches!(refused, FilterError::ScopeId { reason: InvalidScopeId::Wildcard, .. }), "{refused}");
        assert!(Filter::exists(key.as_str()).is_err());
    }
    let pinned = Filter::eq("user_id", "a").unwrap().and(Filter::has_scope(ScopeKey::User));
    assert_eq!(pinned.scope().pinned(ScopeKey::User), Some("a"));
    assert!(!pinned.is_scope_only());
    let either = Filter::eq("user_id", "a").unwrap().or(Filter::has_scope(ScopeKey::User));
    assert_eq!(either.scope().term(ScopeKey::User), &ScopeTerm::Free);
}
