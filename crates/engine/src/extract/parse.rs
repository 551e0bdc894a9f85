//! What a language model answered, read as facts.

use std::collections::BTreeSet;

use mnemon_models::json;
use mnemon_store::MemoryId;
use serde_json::Value;

use super::Fact;
use crate::add::check_text;

/// Keys that models put the list under, whatever they were asked for.
const LISTS: [&str; 4] = ["memory", "memories", "facts", "results"];
/// Keys that models put a fact's text under.
const TEXTS: [&str; 5] = ["text", "memory", "fact", "content", "data"];

/// Facts of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) facts: Vec<Fact>,
    /// Whether the answer ends too early.
    pub(super) cut: bool,
}

/// Reads an answer. `known`: the memories that were shown, by their numbers; `messages`: how many there were.
///
/// # Errors
/// What is wrong with it, if no list of facts is found, or nothing in the list is one.
pub(super) fn read(text: &str, known: &[MemoryId], messages: usize) -> Result<Read, String> {
    let mut answer = Read::default();
    let (mut lists, mut unreadable) = (0, 0);
    for found in json::find(text) {
        let Some(items) = list(&found.value) else { continue };
        lists += 1;
        answer.cut |= found.cut;
        for item in items {
            match fact(item, known, messages) {
                Some(fact) => answer.facts.extend(fact),
                None => unreadable += 1,
            }
        }
    }
    match lists {
        0 => Err("without a list of facts".into()),
        _ if unreadable > 0 && answer.facts.is_empty() => Err(format!("with {unreadable} items that are no facts")),
        _ => {
            if unreadable > 0 {
                tracing::warn!(
                    left_out = unreadable,
                    kept = answer.facts.len(),
                    "some items of an answer are no facts"
                );
            }
            Ok(answer)
        }
    }
}

fn list(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Object(map) => LISTS.iter().find_map(|key| map.get(*key)?.as_array()),
        _ => None,
    }
}

/// A fact; an item that says to do something else than to add gives none, and one that makes no sense is no fact.
fn fact(item: &Value, known: &[MemoryId], messages: usize) -> Option<Option<Fact>> {
    let text = match item {
        Value::String(text) => text.as_str(),
        Value::Object(map) => {
            let event = map.get("event").and_then(Value::as_str).unwrap_or("ADD");
            if !event.eq_ignore_ascii_case("ADD") {
                return Some(None);
            }
            TEXTS.iter().find_map(|key| map.get(*key)?.as_str())?
        }
        _ => return None,
    };
    let text = text.trim();
    check_text(text).ok()?;
    // Small models copy the form of an answer, dots and all.
    if !text.contains(char::is_alphanumeric) {
        return None;
    }
    let memories = |key: &str| -> Vec<MemoryId> {
        let numbers: BTreeSet<usize> = numbers(&item[key]).collect();
        numbers.into_iter().filter_map(|number| known.get(number).copied()).collect()
    };
    let supersedes = memories("supersedes");
    let related = memories("linked_memory_ids").into_iter().filter(|id| !supersedes.contains(id)).collect();
    let sources: BTreeSet<usize> = numbers(&item["sources"]).filter(|number| *number < messages).collect();
    let attributed_to = item["attributed_to"].as_str().map(|who| who.trim().to_lowercase());
    Some(Some(Fact {
        text: text.to_owned(),
        attributed_to: attributed_to.filter(|who| matches!(who.as_str(), "user" | "assistant")),
        sources: sources.into_iter().collect(),
        related,
        supersedes,
    }))
}

/// Numbers of a list, or one alone, written as numbers or as text.
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

    /// Texts of the facts, and whether the answer is cut.
    fn check(text: &str, expected: &[&str], cut: bool) {
        let answer = read(text, &known(), 3).unwrap();
        let texts: Vec<&str> = answer.facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!((texts.as_slice(), answer.cut), (expected, cut), "{text}");
    }

    #[test]
    fn facts_come_in_many_forms() {
        check(r#"{"memory": [{"id": "0", "text": "a"}, {"id": "1", "text": " b "}]}"#, &["a", "b"], false);
        check(r#"Here you are: {"facts": ["a", "b"]} Anything else?"#, &["a", "b"], false);
        check(r#"[{"memory": "a"}]"#, &["a"], false);
        check(r#"{"memory": []}"#, &[], false);
        check(r#"{"memory": [{"text": "a"}]} {"memory": [{"text": "b"}]}"#, &["a", "b"], false);
        check(r#"{"memory": [{"text": "a", "id": "0"}, {"text": "b"#, &["a"], true);
        check("```json\n{\"memory\": [{\"text\": \"a\"}]}\n``` and prose", &["a"], false);
    }

    #[test]
    fn what_makes_no_sense_is_left_out_or_told() {
        check(r#"{"memory": [{"text": 7}, {"text": "a"}, null, {"text": " "}, {"text": "…"}]}"#, &["a"], false);
        for bad in [r#"{"memory": [{"text": 7}]}"#, r#"{"memory": [1, 2]}"#] {
            assert!(read(bad, &[], 0).unwrap_err().contains("no facts") || read(bad, &[], 0).is_err(), "{bad}");
        }
        for bad in ["Sorry, I can't.", "", r#"{"memory": "none"}"#, r#"{"other": [1]}"#, "{}"] {
            assert!(read(bad, &[], 0).unwrap_err().contains("without a list"), "{bad}");
        }
    }

    #[test]
    fn nothing_but_adding_is_understood() {
        check(r#"{"memory": [{"text": "a", "event": "DELETE"}, {"text": "b", "event": "ADD"}]}"#, &["b"], false);
    }

    #[test]
    fn links_lead_to_what_was_shown() {
        let text = r#"{"memory": [{"text": "a", "attributed_to": "Assistant", "sources": [2, "0", 9],
            "linked_memory_ids": ["1", 3, "9", "x", "2"], "supersedes": ["2"]}]}"#;
        let fact = &read(text, &known(), 3).unwrap().facts[0];
        assert_eq!(fact.related, [MemoryId::Number(11), MemoryId::Number(13)]);
        assert_eq!(fact.supersedes, [MemoryId::Number(12)]);
        assert_eq!((fact.sources.as_slice(), fact.attributed_to.as_deref()), (&[0, 2][..], Some("assistant")));
    }

    #[test]
    fn ten_thousand_facts_are_read() {
        let items: Vec<Value> = (0..10_000).map(|n| serde_json::json!({"text": format!("fact {n}")})).collect();
        let text = serde_json::json!({"memory": items}).to_string();
        assert_eq!(read(&text, &[], 0).unwrap().facts.len(), 10_000);
        let cut = read(&text[..text.len() / 2], &[], 0).unwrap();
        assert!(cut.cut && cut.facts.len() > 4000, "{}", cut.facts.len());
    }
}
