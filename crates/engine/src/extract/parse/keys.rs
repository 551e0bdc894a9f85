//! The keys of answers.

use serde_json::{Map, Value};

/// Keys under which models put the list of facts, although the prompt asks for the first one.
pub(super) const LIST_KEYS: [&str; 5] = ["memory", "memories", "facts", "results", "items"];
/// Keys under which models put the whole answer.
pub(super) const ANSWER_KEYS: [&str; 18] = [
    "result",
    "data",
    "output",
    "response",
    "answer",
    "arguments",
    "args",
    "parameters",
    "input",
    "parsed",
    "payload",
    "function",
    "function_call",
    "tool_calls",
    "tool_call",
    "properties",
    "json",
    "content",
];
/// Keys under which models put the text of a fact.
pub(super) const TEXT_KEYS: [&str; 7] = ["text", "memory", "fact", "content", "data", "statement", "value"];
/// Those of them that only a fact has.
pub(super) const OWN_TEXT_KEYS: [&str; 3] = ["text", "fact", "statement"];
/// Keys under which models say why there are no facts.
pub(super) const REMARK_KEYS: [&str; 14] = [
    "error",
    "errors",
    "reason",
    "reasons",
    "note",
    "notes",
    "message",
    "messages",
    "warning",
    "explanation",
    "thought",
    "thoughts",
    "reasoning",
    "thinking",
];
/// Keys of a fact beside its text, and others that say something about it.
const ATTRIBUTE_KEYS: [&str; 12] = [
    "id",
    "attributed_to",
    "sources",
    "source",
    "linked_memory_ids",
    "supersedes",
    "event",
    "type",
    "category",
    "categories",
    "old_memory",
    "name",
];

/// Whether a key belongs to a list of facts or to a fact.
pub(super) fn is_known(key: &str) -> bool {
    [&LIST_KEYS[..], &TEXT_KEYS, &ATTRIBUTE_KEYS].iter().any(|keys| keys.contains(&key))
}

/// A key in the form of the prompt: `linkedMemoryIds` and `Linked Memory IDs` as `linked_memory_ids`.
pub(super) fn plain_key(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    let mut was_lower = false;
    for char in key.trim().chars() {
        if matches!(char, ' ' | '-' | '_') {
            plain.push('_');
            was_lower = false;
            continue;
        }
        if char.is_uppercase() && was_lower {
            plain.push('_');
        }
        was_lower = char.is_lowercase();
        plain.extend(char.to_lowercase());
    }
    plain
}

/// A value with the keys of its objects in the form of the prompt.
pub(super) fn with_plain_keys(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(with_plain_keys).collect(),
        Value::Object(map) => {
            let mut plain = Map::new();
            for (key, value) in map {
                mnemon_models::json::add(&mut plain, plain_key(&key), with_plain_keys(value));
            }
            plain.into()
        }
        other => other,
    }
}

/// The text of an item that is an object: under a key for it, or the only sentence that the object has.
pub(super) fn fact_text(item: &Value) -> Option<&str> {
    let map = item.as_object()?;
    if let Some(text) = TEXT_KEYS.iter().find_map(|key| map.get(*key)?.as_str()) {
        return Some(text);
    }
    let is_other = |key: &str| !REMARK_KEYS.contains(&key) && !ATTRIBUTE_KEYS.contains(&key);
    let others = map.iter().filter(|(key, _)| is_other(key) && !TEXT_KEYS.contains(&key.as_str()));
    let mut sentences =
        others.filter_map(|(_, value)| value.as_str()).filter(|text| text.trim().contains(char::is_whitespace));
    sentences.next().filter(|_| sentences.next().is_none())
}

/// The texts of an item that has them in a list or in an object, and their key.
pub(super) fn inner_texts(map: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    if TEXT_KEYS.iter().any(|key| map.get(*key).is_some_and(Value::is_string)) {
        return None;
    }
    let has_texts = |value: &Value| match value {
        Value::Array(texts) => texts.iter().any(|text| text.is_string() || text.is_object()),
        other => fact_text(other).is_some(),
    };
    TEXT_KEYS.iter().find_map(|key| Some((*key, map.get(*key).filter(|value| has_texts(value))?)))
}

/// Whether an item of a list has no content.
pub(super) fn is_blank(item: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let of_text = |map: &Map<String, Value>| {
        let mut texts = TEXT_KEYS.iter().filter_map(|key| map.get(*key)).peekable();
        texts.peek().is_some() && texts.all(is_empty) && fact_text(item).is_none_or(|text| text.trim().is_empty())
    };
    is_empty(item) || item.as_object().is_some_and(of_text)
}
