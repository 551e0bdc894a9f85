//! What a filter says about the owner.

use serde_json::{Value, json};

use super::parse;
use crate::filter::{ScopeKey, ScopeTerm};

fn check(filter: Value, user: ScopeTerm<'_>, scope_only: bool) {
    let parsed = parse(filter.clone());
    assert_eq!(parsed.scope().term(ScopeKey::User), &user, "{filter}");
    assert_eq!(parsed.is_scope_only(), scope_only, "{filter}");
}

#[test]
fn of_the_user() {
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
fn of_all_keys() {
    let filter = parse(json!({"user_id": "a", "AND": [{"run_id": ["r"]}, {"agent_id": ["x", "y"]}]}));
    let scope = filter.scope();
    assert_eq!(ScopeKey::ALL.map(|key| scope.pinned(key)), [Some("a"), None, Some("r")]);
    assert!(scope.any_pinned() && !scope.is_contradiction());
    assert!(parse(json!({"agent_id": "x", "run_id": "r"})).is_scope_only());

    let contradiction = parse(json!({"agent_id": "x", "AND": [{"user_id": "a"}, {"user_id": "b"}]}));
    assert!(contradiction.scope().is_contradiction() && contradiction.scope().any_pinned());
    for nobody in [json!({"agent_id": ["x", "y"]}), json!({"user_id": {"ne": "a"}}), json!({"x": 1})] {
        assert!(!parse(nobody).scope().any_pinned());
    }
}
