//! Parses the answer of a language model into facts.
//!
//! Models write facts in many forms. Every complete fact is kept, and nothing that the model did not write.

mod keys;
mod lines;
mod markup;
mod nothing;
mod table;
mod yaml;

use std::collections::BTreeSet;

use mnemon_models::json;
use mnemon_store::{EventKind, MemoryId, Role};
use serde_json::{Map, Value};

use super::fact::Fact;
use crate::validate::check_text;
use keys::{ANSWER_KEYS, LIST_KEYS, OWN_TEXT_KEYS, REMARK_KEYS, with_plain_keys};

/// Most answers inside of each other, such as JSON in a string in JSON.
const MAX_DEPTH: usize = 8;

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
    /// An operation other than adding, which is ignored, or an item without content.
    Nothing,
    Invalid,
}

/// Parses an answer. `known` holds the memories that the prompt listed, by their numbers there; `messages` is the number
/// of messages. `is_ended` says that the model ended the answer itself: then closing brackets at its end may be missing.
///
/// # Errors
/// A description of the fault if the answer has no list of facts and does not say that there are none, or if no item of
/// the list is a fact.
pub(super) fn parse_answer(
    text: &str,
    known: &[MemoryId],
    messages: usize,
    is_ended: bool,
) -> Result<ParsedAnswer, String> {
    let mut reader = AnswerReader { known, messages, is_ended, ..AnswerReader::default() };
    reader.read_text(text, 0);
    let AnswerReader { answer, lists, invalid, .. } = reader;
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
        // It may have lists in brackets without facts.
        if let Some(items) = yaml::items(text) {
            return self.read(&items, depth);
        }
        let found = json::find(text);
        let has_values = !found.is_empty();
        // One object a line, each of them a fact.
        let are_facts = found.len() > 1 && found.iter().all(|found| keys::fact_text(&found.value).is_some());
        for found in found {
            let before = self.lists;
            let value = with_plain_keys(found.value);
            match are_facts {
                true => self.read_item(&value, depth),
                false => self.read(&value, depth),
            }
            self.lists += usize::from(are_facts);
            if let Some(tail) = found.tail.filter(|_| self.is_ended) {
                self.lists += 1;
                self.read_item(&with_plain_keys(tail), depth);
            }
            let is_complete = self.is_ended && !found.lost && !found.after_fault;
            self.answer.cut |= (found.cut || found.after_fault) && !is_complete && self.lists > before;
        }
        if !has_values {
            self.read_without_json(text, depth);
        }
    }

    /// Reads an answer in another form than JSON.
    fn read_without_json(&mut self, text: &str, depth: usize) {
        if nothing::is_said(text) {
            self.lists += 1;
        } else if let Some((start, end)) = text.find('"').zip(text.rfind('"'))
            && let Some(inner) = json::quoted(&text[start..=end]).filter(|inner| holds_json(inner))
        {
            self.read_text(&inner, depth + 1);
        } else if let Some(inner) = escaped_json(text) {
            self.read_text(&inner, depth + 1);
        } else if let Some(items) = table::items(text) {
            self.read(&items, depth);
        } else if let Some(markup) = markup::read(text) {
            self.answer.cut |= markup.cut;
            self.read(&with_plain_keys(markup.value), depth);
        } else if let Some(facts) = lines::facts(text) {
            self.lists += 1;
            facts.into_iter().for_each(|fact| self.read_item(&fact.into(), depth));
        }
    }

    /// Reads a value that may contain lists of facts.
    fn read(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) if items.is_empty() || items.iter().any(|item| !is_scalar(item)) => {
                self.read_items(items, depth);
            }
            Value::Object(map) => self.read_object(map, depth),
            Value::String(text) if holds_json(text) => self.read_text(text, depth + 1),
            _ => {}
        }
    }

    fn read_items<'v>(&mut self, items: impl IntoIterator<Item = &'v Value>, depth: usize) {
        self.lists += 1;
        items.into_iter().for_each(|item| self.read_item(item, depth));
    }

    fn read_object(&mut self, map: &Map<String, Value>, depth: usize) {
        let is_remark = |key: &str| REMARK_KEYS.contains(&key);
        let mut lists = LIST_KEYS.iter().filter_map(|key| map.get(*key).filter(|value| is_container(value))).peekable();
        if lists.peek().is_some() {
            lists.for_each(|list| self.read_list(list, depth));
        } else if OWN_TEXT_KEYS.iter().any(|key| map.get(*key).is_some_and(has_text)) {
            self.read_items([&Value::Object(map.clone())], depth);
        } else if let Some(text) = LIST_KEYS.iter().find_map(|key| map.get(*key)?.as_str()) {
            self.read_sole_text(map, text, depth);
        } else if let Some(inner) = ANSWER_KEYS.iter().find_map(|key| map.get(*key).filter(|value| is_container(value)))
        {
            self.read(inner, depth + 1);
        } else if let (1, Some((key, inner))) = (map.len(), map.iter().next()) {
            if !is_remark(key) {
                self.read(inner, depth + 1);
            }
        } else {
            let others = map.iter().filter(|(key, inner)| !is_remark(key) && holds_facts(inner, 0));
            others.for_each(|(_, inner)| self.read(inner, depth + 1));
        }
    }

    /// Reads the value of a key that names a list of facts.
    fn read_list(&mut self, list: &Value, depth: usize) {
        match list {
            Value::Array(items) => self.read_items(items, depth),
            Value::Null => self.lists += 1,
            // Facts by their numbers, by their speakers, or by other names that do not belong to them.
            Value::Object(map) if map.keys().all(|key| key.parse::<usize>().is_ok()) => {
                self.read_items(map.values(), depth);
            }
            Value::Object(map) if map.values().all(is_list_or_statement) => {
                let items = map.values().flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), |v| v));
                self.read_items(items, depth);
            }
            other => self.read(other, depth + 1),
        }
    }

    /// Reads an object with a plain text under a key that names a list.
    fn read_sole_text(&mut self, map: &Map<String, Value>, text: &str, depth: usize) {
        if text.trim().is_empty() || nothing::is_said(text) {
            self.lists += 1;
        } else if let Some(facts) = lines::facts(text).filter(|facts| !facts.is_empty()) {
            facts.into_iter().for_each(|fact| self.read_items([&Value::from(fact)], depth));
        } else if lines::is_statement(text) {
            self.read_items([&Value::Object(map.clone())], depth);
        }
    }

    fn read_item(&mut self, item: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            self.invalid += 1;
            return;
        }
        let has_list =
            |map: &Map<String, Value>| LIST_KEYS.iter().any(|key| map.get(*key).is_some_and(Value::is_array));
        match item {
            Value::Array(_) => return self.read(item, depth + 1),
            Value::Object(map) if !has_own_text(map) && has_list(map) => return self.read_object(map, depth + 1),
            Value::Object(map) => {
                if let Some((key, inner)) = keys::inner_texts(map) {
                    return self.read_inner(map, key, inner, depth);
                }
                let is_answer = ANSWER_KEYS.iter().any(|key| map.get(*key).is_some_and(is_container));
                if is_answer && keys::fact_text(item).is_none() {
                    let before = self.lists;
                    self.read_object(map, depth + 1);
                    self.invalid += usize::from(self.lists == before);
                    return;
                }
            }
            Value::String(text) if holds_json(text) => return self.read_text(text, depth + 1),
            _ => {}
        }
        if let Some(text) = keys::fact_text(item).filter(|text| holds_json(text)) {
            return self.read_text(text, depth + 1);
        }
        match parse_item(item, self.known, self.messages) {
            Item::Fact(fact) => self.answer.facts.push(fact),
            Item::Nothing => {}
            Item::Invalid => self.invalid += 1,
        }
    }

    /// Reads an item whose text is a list of texts, each of them a fact, or an object.
    fn read_inner(&mut self, map: &Map<String, Value>, key: &str, inner: &Value, depth: usize) {
        let texts = match inner {
            Value::Array(texts) => texts.as_slice(),
            other => std::slice::from_ref(other),
        };
        for text in texts {
            let mut item = map.clone();
            match text {
                Value::Object(inner) => {
                    item.remove(key);
                    item.extend(inner.clone());
                }
                text => drop(item.insert(key.to_owned(), text.clone())),
            }
            self.read_item(&item.into(), depth + 1);
        }
    }
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(texts) => texts.iter().any(Value::is_string),
        _ => false,
    }
}

fn has_own_text(map: &Map<String, Value>) -> bool {
    OWN_TEXT_KEYS.iter().any(|key| map.get(*key).is_some_and(has_text))
}

/// Whether a value under a key that is not known contains facts: objects with texts, not just any texts.
fn holds_facts(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth > MAX_DEPTH => false,
        Value::Array(items) => items.iter().any(|item| holds_facts(item, depth + 1)),
        Value::Object(map) => {
            let has_list = LIST_KEYS.iter().any(|key| map.get(*key).is_some_and(Value::is_array));
            has_list || has_own_text(map) || map.values().any(|inner| holds_facts(inner, depth + 1))
        }
        _ => false,
    }
}

fn is_list_or_statement(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| item.is_string() || keys::fact_text(item).is_some()),
        Value::String(text) => text.trim().contains(char::is_whitespace) && lines::is_statement(text),
        _ => false,
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

/// JSON whose quotes are escaped, although it is not in a string.
fn escaped_json(text: &str) -> Option<String> {
    let inner = if text.contains("\\\"") {
        json::quoted(&format!("\"{text}\""))?
    } else if text.contains("&quot;") {
        markup::unescaped(text)
    } else {
        return None;
    };
    (inner != text && inner.contains(['{', '['])).then_some(inner)
}

fn parse_item(item: &Value, known: &[MemoryId], messages: usize) -> Item {
    let text = match item {
        Value::String(text) => Some(text.as_str()),
        Value::Object(map) => {
            let add = EventKind::Add.as_str();
            let event = map.get("event").and_then(Value::as_str).unwrap_or(add);
            if !event.eq_ignore_ascii_case(add) {
                return Item::Nothing;
            }
            keys::fact_text(item)
        }
        _ => None,
    };
    if keys::is_blank(item) {
        return Item::Nothing;
    }
    let Some(text) = text.map(str::trim) else { return Item::Invalid };
    // Small models copy the example of the prompt, with its ellipsis. Numbers are those of memories.
    if check_text(text).is_err() || !text.contains(char::is_alphabetic) {
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
