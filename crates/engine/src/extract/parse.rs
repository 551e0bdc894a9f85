//! Parses the answer of a language model into facts.

use std::collections::BTreeSet;

use mnemon_models::json;
use mnemon_store::{EventKind, MemoryId, Role};
use serde_json::Value;

use super::fact::Fact;
use crate::validate::check_text;

/// Keys under which models put the list of facts, although the prompt asks for the first one.
const LIST_KEYS: [&str; 4] = ["memory", "memories", "facts", "results"];
/// Keys under which models put the text of a fact.
const TEXT_KEYS: [&str; 5] = ["text", "memory", "fact", "content", "data"];

/// The facts of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ParsedAnswer {
    pub(super) facts: Vec<Fact>,
    /// Whether the answer is truncated.
    pub(super) cut: bool,
}

/// An item of an answer's list.
enum Item {
    Fact(Fact),
    /// An operation other than adding, which is ignored.
    OtherOperation,
    Invalid,
}

/// Parses an answer. `known` holds the memories that the prompt listed, by their numbers there; `messages` is the number
/// of messages.
///
/// # Errors
/// A description of the fault if the answer has no list of facts, or if no item of the list is a fact.
pub(super) fn parse_answer(text: &str, known: &[MemoryId], messages: usize) -> Result<ParsedAnswer, String> {
    let mut answer = ParsedAnswer::default();
    let (mut lists, mut invalid) = (0, 0);
    for found in json::find(text) {
        let Some(items) = fact_list(&found.value) else { continue };
        lists += 1;
        answer.cut |= found.cut;
        for item in items {
            match parse_item(item, known, messages) {
                Item::Fact(fact) => answer.facts.push(fact),
                Item::OtherOperation => {}
                Item::Invalid => invalid += 1,
            }
        }
    }
    if lists == 0 {
        return Err("without a list of facts".into());
    }
    if invalid > 0 && answer.facts.is_empty() {
        return Err(format!("with {invalid} items that are not facts"));
    }
    if invalid > 0 {
        tracing::warn!(skipped = invalid, kept = answer.facts.len(), "skipped invalid items of a model's answer");
    }
    Ok(answer)
}

fn fact_list(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Object(map) => LIST_KEYS.iter().find_map(|key| map.get(*key)?.as_array()),
        _ => None,
    }
}

fn parse_item(item: &Value, known: &[MemoryId], messages: usize) -> Item {
    let text = match item {
        Value::String(text) => Some(text.as_str()),
        Value::Object(map) => {
            let add = EventKind::Add.as_str();
            let event = map.get("event").and_then(Value::as_str).unwrap_or(add);
            if !event.eq_ignore_ascii_case(add) {
                return Item::OtherOperation;
            }
            TEXT_KEYS.iter().find_map(|key| map.get(*key)?.as_str())
        }
        _ => None,
    };
    let Some(text) = text.map(str::trim) else { return Item::Invalid };
    // Small models copy the example of the prompt, with its ellipsis.
    if check_text(text).is_err() || !text.contains(char::is_alphanumeric) {
        return Item::Invalid;
    }
    let memories = |key: &str| -> Vec<MemoryId> {
        let numbers: BTreeSet<usize> = numbers(&item[key]).collect();
        numbers.into_iter().filter_map(|number| known.get(number).copied()).collect()
    };
    let supersedes = memories("supersedes");
    let related = memories("linked_memory_ids").into_iter().filter(|id| !supersedes.contains(id)).collect();
    let sources: BTreeSet<usize> = numbers(&item["sources"]).filter(|number| *number < messages).collect();
    let attributed_to = item["attributed_to"].as_str().map(|role| Role::from(role.trim().to_lowercase()));
    Item::Fact(Fact {
        text: text.to_owned(),
        attributed_to: attributed_to.filter(|role| matches!(role, Role::User | Role::Assistant)),
        sources: sources.into_iter().collect(),
        related,
        supersedes,
    })
}

/// The numbers of a list, or a single number, each written as a number or as a text.
fn numbers(value: &Value) -> impl Iterator<Item = usize> + '_ {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    items.iter().filter_map(|item| match item {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<MemoryId> {
        (10..14).map(MemoryId::Number).collect()
    }

    /// Checks the texts of the facts, and whether the answer is truncated.
    fn check(text: &str, expected: &[&str], cut: bool) {
        let answer = parse_answer(text, &known(), 3).unwrap();
        let texts: Vec<&str> = answer.facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!((texts.as_slice(), answer.cut), (expected, cut), "{text}");
    }

    #[test]
    fn many_forms_of_answers_are_parsed() {
        check(r#"{"memory": [{"id": "0", "text": "a"}, {"id": "1", "text": " b "}]}"#, &["a", "b"], false);
        check(r#"Here you are: {"facts": ["a", "b"]} Anything else?"#, &["a", "b"], false);
        check(r#"[{"memory": "a"}]"#, &["a"], false);
        check(r#"{"memory": []}"#, &[], false);
        check(r#"{"memory": [{"text": "a"}]} {"memory": [{"text": "b"}]}"#, &["a", "b"], false);
        check(r#"{"memory": [{"text": "a", "id": "0"}, {"text": "b"#, &["a"], true);
        check("```json\n{\"memory\": [{\"text\": \"a\"}]}\n``` and prose", &["a"], false);
    }

    #[test]
    fn invalid_items_are_skipped_and_invalid_answers_rejected() {
        check(r#"{"memory": [{"text": 7}, {"text": "a"}, null, {"text": " "}, {"text": "…"}]}"#, &["a"], false);
        for bad in [r#"{"memory": [{"text": 7}]}"#, r#"{"memory": [1, 2]}"#] {
            assert!(parse_answer(bad, &[], 0).is_err(), "{bad}");
        }
        for bad in ["Sorry, I can't.", "", r#"{"memory": "none"}"#, r#"{"other": [1]}"#, "{}"] {
            assert!(parse_answer(bad, &[], 0).unwrap_err().contains("without a list"), "{bad}");
        }
    }

    #[test]
    fn operations_other_than_adding_are_ignored() {
        check(r#"{"memory": [{"text": "a", "event": "DELETE"}, {"text": "b", "event": "ADD"}]}"#, &["b"], false);
    }

    #[test]
    fn links_lead_to_listed_memories_only() {
        let text = r#"{"memory": [{"text": "a", "attributed_to": "Assistant", "sources": [2, "0", 9],
            "linked_memory_ids": ["1", 3, "9", "x", "2"], "supersedes": ["2"]}]}"#;
        let fact = &parse_answer(text, &known(), 3).unwrap().facts[0];
        assert_eq!(fact.related, [MemoryId::Number(11), MemoryId::Number(13)]);
        assert_eq!(fact.supersedes, [MemoryId::Number(12)]);
        assert_eq!((fact.sources.as_slice(), &fact.attributed_to), (&[0, 2][..], &Some(Role::Assistant)));
    }

    #[test]
    fn ten_thousand_facts_are_parsed() {
        let items: Vec<Value> = (0..10_000).map(|n| serde_json::json!({"text": format!("fact {n}")})).collect();
        let text = serde_json::json!({"memory": items}).to_string();
        assert_eq!(parse_answer(&text, &[], 0).unwrap().facts.len(), 10_000);
        let cut = parse_answer(&text[..text.len() / 2], &[], 0).unwrap();
        assert!(cut.cut && cut.facts.len() > 4000, "{}", cut.facts.len());
    }
}
