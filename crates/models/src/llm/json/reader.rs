//! Reads one value.

use serde_json::{Map, Number, Value};

use super::string;

/// Maximum nesting of values.
const MAX_DEPTH: usize = 64;

/// Adds a value to an object. If the key has one already, lists are joined, and other texts, lists and objects become a
/// list: models write a key for each of several things. Of other values the last one counts.
pub fn add(map: &mut Map<String, Value>, key: String, value: Value) {
    let has_content = |value: &Value| value.is_array() || value.is_object() || value.is_string();
    match map.get_mut(&key) {
        Some(old) if *old == value => {}
        Some(Value::Array(items)) => match value {
            Value::Array(more) => items.extend(more),
            value if has_content(&value) => items.push(value),
            _ => {}
        },
        Some(old) if has_content(old) && value.is_array() => {
            let first = std::mem::replace(old, value);
            old.as_array_mut().into_iter().for_each(|items| items.insert(0, first.clone()));
        }
        Some(old) if has_content(old) && has_content(&value) => *old = vec![old.take(), value].into(),
        _ => drop(map.insert(key, value)),
    }
}

/// Reads a value from a position of a text.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// The position of the next character.
    pub(super) at: usize,
    /// Whether the text ends before the value.
    pub(super) cut: bool,
    /// Whether a part of the value is missing, beside closing brackets.
    pub(super) lost: bool,
    /// The incomplete item of the innermost list, if no part of it is missing.
    pub(super) tail: Option<Value>,
    /// Whether a quote in the middle of a string belongs to the string.
    tolerant: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, at: usize, tolerant: bool) -> Self {
        Self { text, at, cut: false, lost: false, tail: None, tolerant }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The next character, punctuation in its ASCII form.
    fn peek(&self) -> Option<char> {
        self.rest().chars().next().map(string::punctuation)
    }

    /// Skips the next character.
    fn skip(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += trimmed.find("*/").map_or(trimmed.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }

    /// Reads a value; `None` if it is invalid, or truncated without a complete part.
    pub(super) fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek() {
            None => {
                self.cut = true;
                self.lost = true;
                None
            }
            Some('{') if depth < MAX_DEPTH => self.object(depth),
            Some('[') if depth < MAX_DEPTH => self.list(depth),
            Some(quote) if string::is_quote(quote) => self.string(quote).map(Value::String),
            Some(_) => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        let mut map = Map::new();
        loop {
            self.skip_space();
            let key = match self.peek() {
                None => {
                    self.cut = true;
                    break;
                }
                Some('}') => {
                    self.skip();
                    break;
                }
                // Its own bracket is missing; this one closes the list around it.
                Some(']') if depth > 0 && !map.is_empty() => break,
                Some(',') => {
                    self.skip();
                    continue;
                }
                Some(quote) if string::is_quote(quote) => self.string(quote),
                Some(_) => self.bare_word(),
            };
            if self.cut {
                self.lost = true;
                break;
            }
            let key = key?;
            self.skip_space();
            match self.peek() {
                Some(':') => self.skip(),
                // Written as in Ruby, or as an assignment.
                Some('=') => self.at += if self.rest().starts_with("=>") { 2 } else { 1 },
                None => {
                    (self.cut, self.lost) = (true, true);
                    break;
                }
                // The colon is missing.
                Some('{' | '[') => {}
                Some(_) => return None,
            }
            let value = self.value(depth + 1);
            if let Some(value) = value.filter(|value| !self.cut || value.is_array() || value.is_object()) {
                add(&mut map, key, value);
            } else if !self.cut {
                return None;
            }
            if self.cut {
                break;
            }
        }
        Some(Value::Object(map))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.skip();
        let mut items = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => {
                    self.cut = true;
                    break;
                }
                Some(']') => {
                    self.skip();
                    break;
                }
                // Its own bracket is missing; this one closes the object around it.
                Some('}') if depth > 0 => break,
                Some(',') => {
                    self.skip();
                    continue;
                }
                Some(_) => {}
            }
            let item = self.value(depth + 1);
            if !self.cut {
                items.push(item?);
                continue;
            }
            // A truncated item may differ from the intended one, but a list in it may have complete items.
            match item {
                Some(item) if has_complete_objects(&item) => items.push(item),
                Some(item) if !self.lost && self.tail.is_none() => self.tail = Some(item),
                _ => {}
            }
            break;
        }
        Some(Value::Array(items))
    }

    /// Reads a string that begins with this quote.
    pub(super) fn string(&mut self, quote: char) -> Option<String> {
        let rest = self.rest();
        let end = string::end(&rest[quote.len_utf8()..], quote, self.tolerant);
        let Some((content, after)) = end else {
            self.at = self.text.len();
            (self.cut, self.lost) = (true, true);
            return None;
        };
        self.at += quote.len_utf8() + after;
        Some(string::unescaped(&rest[quote.len_utf8()..][..content]))
    }

    /// Reads an unquoted word.
    fn bare_word(&mut self) -> Option<String> {
        let rest = self.rest();
        let end = rest.find(|char: char| !(char.is_alphanumeric() || "_-+.$".contains(char))).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        if self.at == self.text.len() {
            (self.cut, self.lost) = (true, true);
        }
        (!word.is_empty()).then_some(word)
    }

    /// Reads a number, `true`, `null` and similar words.
    fn word(&mut self) -> Option<Value> {
        let word = self.bare_word()?;
        Some(match word.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "none" | "nil" | "undefined" | "nan" | "-nan" | "infinity" | "-infinity" | "+infinity" | "inf"
            | "-inf" => Value::Null,
            number => match number.parse::<Number>() {
                Ok(number) => Value::Number(number),
                // A number in another form, such as `007`, `+1` or `.5`.
                Err(_) if number.parse::<f64>().is_ok() => Value::String(word),
                Err(_) => return None,
            },
        })
    }
}

/// Whether a value contains a list with objects. They are complete, because a truncated one is left out.
fn has_complete_objects(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| item.is_object() || has_complete_objects(item)),
        Value::Object(map) => map.values().any(has_complete_objects),
        _ => false,
    }
}
