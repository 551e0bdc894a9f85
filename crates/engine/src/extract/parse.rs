//! Parses the answer of a language model into facts.
//!
//! Models write facts in many forms. Every complete fact is kept, and nothing that the model did not write.

mod lines;

use std::collections::BTreeSet;

use mnemon_models::json;
use mnemon_store::{EventKind, MemoryId, Role};
use serde_json::{Map, Value};

use super::fact::Fact;
use crate::validate::check_text;

/// Keys under which models put the list of facts, although the prompt asks for the first one.
const LIST_KEYS: [&str; 5] = ["memory", "memories", "facts", "results", "items"];
/// Keys under which models put the whole answer.
const ANSWER_KEYS: [&str; 9] =
    ["result", "data", "output", "response", "answer", "arguments", "parameters", "json", "content"];
/// Keys under which models put the text of a fact.
const TEXT_KEYS: [&str; 7] = ["text", "memory", "fact", "content", "data", "statement", "value"];
/// Those of them that only a fact has.
const OWN_TEXT_KEYS: [&str; 3] = ["text", "fact", "statement"];
/// Keys under which models say why there are no facts.
const REMARK_KEYS: [&str; 10] =
    ["error", "errors", "reason", "reasons", "note", "notes", "message", "messages", "warning", "explanation"];
/// Most answers inside of each other, such as JSON in a string in JSON.
const MAX_DEPTH: usize = 6;

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
/// of messages. `is_ended` says that the model ended the answer itself: then closing brackets at its end may be missing.
///
/// # Errors
/// A description of the fault if the answer has no list of facts, or if no item of the list is a fact.
pub(super) fn parse_answer(
    text: &str,
    known: &[MemoryId],
    messages: usize,
    is_ended: bool,
) -> Result<ParsedAnswer, String> {
    let mut reader = AnswerReader { known, messages, is_ended, ..AnswerReader::default() };
    reader.read_text(text, 0);
    let AnswerReader { mut answer, lists, invalid, .. } = reader;
    if lists == 0 {
        let Some(facts) = lines::facts(text) else { return Err("without a list of facts".into()) };
        let facts = facts.into_iter().map(|fact| parse_item(&fact.into(), known, messages));
        answer.facts.extend(facts.filter_map(|item| match item {
            Item::Fact(fact) => Some(fact),
            Item::OtherOperation | Item::Invalid => None,
        }));
    }
    if invalid > 0 && answer.facts.is_empty() {
        return Err(format!("with {invalid} items that are not facts"));
    }
    if invalid > 0 {
        tracing::warn!(skipped = invalid, kept = answer.facts.len(), "skipped invalid items of a model's answer");
    }
    Ok(answer)
}

/// Collects the facts of an answer.
#[derive(Default)]
struct AnswerReader<'k> {
    known: &'k [MemoryId],
    messages: usize,
    is_ended: bool,
    answer: ParsedAnswer,
    /// Lists of facts, also empty ones.
    lists: usize,
    /// Items that are not facts.
    invalid: usize,
}

impl AnswerReader<'_> {
    fn read_text(&mut self, text: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(inner) = json::quoted(text) {
            return self.read_text(&inner, depth + 1);
        }
        let text = &without_fences(text);
        let found = json::find(text);
        let has_values = !found.is_empty();
        // One object a line, each of them a fact.
        let are_facts = found.len() > 1 && found.iter().all(|found| fact_text(&found.value).is_some());
        for found in found {
            let before = self.lists;
            match are_facts {
                true => self.read_item(&found.value, depth),
                false => self.read(&found.value, depth),
            }
            self.lists += usize::from(are_facts);
            if let Some(tail) = found.tail.as_ref().filter(|_| self.is_ended) {
                self.lists += 1;
                self.read_item(tail, depth);
            }
            let is_complete = self.is_ended && !found.lost;
            self.answer.cut |= found.cut && !is_complete && self.lists > before;
        }
        if has_values {
            return;
        }
        if is_empty(text) {
            self.lists += 1;
        } else if let Some((start, end)) = text.find('"').zip(text.rfind('"'))
            && let Some(inner) = json::quoted(&text[start..=end]).filter(|inner| holds_json(inner))
        {
            self.read_text(&inner, depth + 1);
        }
    }

    /// Reads a value that may contain lists of facts.
    fn read(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) if items.is_empty() || items.iter().any(|item| !is_scalar(item)) => {
                self.lists += 1;
                items.iter().for_each(|item| self.read_item(item, depth));
            }
            Value::Object(map) => self.read_object(map, depth),
            Value::String(text) if holds_json(text) => self.read_text(text, depth + 1),
            _ => {}
        }
    }

    fn read_object(&mut self, map: &Map<String, Value>, depth: usize) {
        let of_list_key = LIST_KEYS.iter().find_map(|key| map.get(*key).filter(|value| is_container(value)));
        if let Some(list) = of_list_key {
            match list {
                Value::Array(items) => {
                    self.lists += 1;
                    items.iter().for_each(|item| self.read_item(item, depth));
                }
                Value::Null => self.lists += 1,
                // Facts by their numbers.
                Value::Object(map) if map.keys().all(|key| key.parse::<usize>().is_ok()) => {
                    self.lists += 1;
                    map.values().for_each(|item| self.read_item(item, depth));
                }
                other => self.read(other, depth + 1),
            }
        } else if OWN_TEXT_KEYS.iter().any(|key| map.get(*key).is_some_and(Value::is_string)) {
            self.lists += 1;
            self.read_item(&Value::Object(map.clone()), depth);
        } else if let Some(inner) = ANSWER_KEYS.iter().find_map(|key| map.get(*key).filter(|value| is_container(value)))
        {
            self.read(inner, depth + 1);
        } else if let (1, Some((key, inner))) = (map.len(), map.iter().next())
            && !REMARK_KEYS.contains(&key.to_lowercase().as_str())
        {
            self.read(inner, depth + 1);
        }
    }

    fn read_item(&mut self, item: &Value, depth: usize) {
        let has_list =
            |map: &Map<String, Value>| LIST_KEYS.iter().any(|key| map.get(*key).is_some_and(Value::is_array));
        match item {
            Value::Array(_) => return self.read(item, depth + 1),
            Value::Object(map) if has_list(map) => return self.read_object(map, depth + 1),
            Value::String(text) if holds_json(text) => return self.read_text(text, depth + 1),
            _ => {}
        }
        if let Some(text) = fact_text(item).filter(|text| holds_json(text)) {
            return self.read_text(text, depth + 1);
        }
        match parse_item(item, self.known, self.messages) {
            Item::Fact(fact) => self.answer.facts.push(fact),
            Item::OtherOperation => {}
            Item::Invalid => self.invalid += 1,
        }
    }
}

/// Whether a value of a key may hold facts, or says that there are none.
fn is_container(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Null => true,
        Value::String(text) => holds_json(text),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a value can't be a fact.
fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

/// Whether a text is JSON rather than a fact.
fn holds_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['{', '[']) || (text.starts_with('"') && text.contains(['{', '[']))
}

/// An answer without the marks of code fences at the beginning and the end of its lines, and the language after a mark. Small
/// models put a fence and the JSON on one line.
fn without_fences(text: &str) -> String {
    let without = |line: &str| -> String {
        let line = match line.trim_start().strip_prefix("```") {
            Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
            None => line,
        };
        line.trim_end().strip_suffix("```").unwrap_or(line).to_owned()
    };
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

/// Whether an answer is JSON without a fact: `[]` or `{}`, alone or in a code fence or in prose.
fn is_empty(text: &str) -> bool {
    let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    let alone = text.trim_matches('`').trim_start_matches("json");
    matches!(alone, "{}" | "null") || text.contains("[]")
}

/// The text of an item that is an object.
fn fact_text(item: &Value) -> Option<&str> {
    TEXT_KEYS.iter().find_map(|key| item.as_object()?.get(*key)?.as_str())
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
            fact_text(item)
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
mod tests;
