//! Writes a changed value into its stored JSON without touching what the value's type does not know.

use serde_json::Value;

/// Applies to `stored` what changed between `before` and `after`. Fields that are in neither, such as those that a
/// newer version wrote, stay, at every depth of objects.
pub(super) fn merge(stored: &mut Value, before: &Value, after: Value) {
    match (stored, before, after) {
        (Value::Object(stored), Value::Object(before), Value::Object(after)) => {
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                stored.shift_remove(key);
            }
            for (key, value) in after {
                match (stored.get_mut(&key), before.get(&key)) {
                    (Some(stored), Some(before)) => merge(stored, before, value),
                    _ => {
                        stored.insert(key, value);
                    }
                }
            }
        }
        (stored, before, after) => {
            if *before != after {
                *stored = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let cases = [
            // stored, before, after, merged
            (json!({"a": 1, "new": 2}), json!({"a": 1}), json!({"a": 3}), json!({"a": 3, "new": 2})),
            (json!({"a": 1, "new": 2}), json!({"a": 1}), json!({}), json!({"new": 2})),
            (
                json!({"a": {"b": 1, "new": 2}}),
                json!({"a": {"b": 1}}),
                json!({"a": {"b": 3}}),
                json!({"a": {"b": 3, "new": 2}}),
            ),
            (json!({"a": {"b": 1, "new": 2}}), json!({"a": {"b": 1}}), json!({"a": null}), json!({"a": null})),
            (
                json!({"a": [1, {"new": 2}]}),
                json!({"a": [1, {}]}),
                json!({"a": [1, {}]}),
                json!({"a": [1, {"new": 2}]}),
            ),
            (json!({"a": [1, {"new": 2}]}), json!({"a": [1, {}]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!({"new": 1}), json!({"default": 0}), json!({"default": 0}), json!({"new": 1, "default": 0})),
            (json!("x"), json!("x"), json!("y"), json!("y")),
        ];
        for (mut stored, before, after, expected) in cases {
            let case = format!("{stored} {before} {after}");
            merge(&mut stored, &before, after);
            assert_eq!(stored.to_string(), expected.to_string(), "{case}");
        }
    }
}
