//! Facts in YAML, or as lines with a key and a value.

use mnemon_models::json;
use serde_json::{Map, Value};

use super::keys::{LIST_KEYS, TEXT_KEYS, is_known, plain_key};
use super::lines;

/// Most other lines: an introduction and a conclusion.
const MAX_OTHER_LINES: usize = 3;
/// Most characters of a key.
const MAX_KEY: usize = 30;

/// The items of an answer in YAML; `None` if it is something else.
pub(super) fn items(text: &str) -> Option<Value> {
    let mut reader = Reader::default();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['{', '[', '}', ']', '<', '|']) || trimmed.ends_with('{') {
            return None;
        }
        if !trimmed.is_empty() && trimmed != "---" && !trimmed.starts_with('#') {
            reader.read(line.len() - line.trim_start().len(), &trimmed.replace("**", ""));
        }
    }
    let has_text = |item: &Map<String, Value>| TEXT_KEYS.iter().any(|key| item.contains_key(*key));
    let is_yaml = !reader.items.is_empty() && reader.items.iter().all(has_text) && reader.others <= MAX_OTHER_LINES;
    is_yaml.then(|| reader.items.into_iter().map(Value::Object).collect())
}

#[derive(Default)]
struct Reader {
    items: Vec<Map<String, Value>>,
    /// The indentation of the items.
    indent: usize,
    /// The last key of the last item, and its indentation.
    key: Option<(String, usize)>,
    /// Lines of something else.
    others: usize,
}

impl Reader {
    fn read(&mut self, indent: usize, line: &str) {
        let (is_item, rest) = lines::item(line).map_or((false, line), |rest| (true, rest));
        if let Some((key, at)) = &self.key
            && let Some(item) = self.items.last_mut()
        {
            // An item of a list in an item.
            if is_item && indent > self.indent && indent >= *at {
                json::add(item, key.clone(), Value::Array(vec![value(rest)]));
                return;
            }
            // A text of several lines.
            if !is_item && indent > *at {
                let text = item.get(key).and_then(Value::as_str).unwrap_or_default();
                let text = format!("{text} {rest}").trim().to_owned();
                item.insert(key.clone(), text.into());
                return;
            }
        }
        match key_and_value(rest) {
            Some((key, "")) if !is_item && LIST_KEYS.contains(&key.as_str()) => self.key = None,
            Some((key, text)) if is_known(&key) || (!is_item && !self.items.is_empty()) => {
                let is_new = is_item || self.items.last().is_none_or(|item| item.contains_key(&key));
                if is_new {
                    self.items.push(Map::new());
                    self.indent = indent;
                }
                let is_block = matches!(text, ">" | "|" | ">-" | "|-" | ">+" | "|+");
                let value = if is_block { Value::from("") } else { value(text) };
                if let Some(item) = self.items.last_mut() {
                    item.insert(key.clone(), value);
                }
                let inner = if is_item { indent + line.len() - rest.len() } else { indent };
                self.key = Some((key, inner));
            }
            _ => self.others += if is_item { MAX_OTHER_LINES + 1 } else { 1 },
        }
    }
}

/// The key of a line in plain form, and its value as it is written.
fn key_and_value(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once([':', '：'])?;
    let is_key = key.chars().count() <= MAX_KEY && key.chars().all(|char| char.is_alphabetic() || "_- ".contains(char));
    let is_value = value.is_empty() || value.starts_with(char::is_whitespace) || line.contains('：');
    (is_key && is_value).then(|| (plain_key(key), value.trim()))
}

/// A value: a text, perhaps in quotes, a list in brackets, or nothing.
fn value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "None" => Value::Null,
        _ if text.starts_with('[') => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => {
            let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
            inner.unwrap_or(text).into()
        }
    }
}
