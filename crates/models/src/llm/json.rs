//! Reads JSON in the form in which language models write it: surrounded by prose, with extra commas, truncated.

use serde_json::{Map, Number, Value};

/// Maximum nesting of values.
const MAX_DEPTH: usize = 64;

/// A JSON value in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The value. If it is truncated, only its complete parts: incomplete items of lists are left out, and so are
    /// incomplete values of keys unless they are lists or objects.
    pub value: Value,
    /// Whether it is truncated: the text ends before the value.
    pub cut: bool,
}

/// Finds the objects and lists in a text, in order, with any text between them. Tolerates extra commas, comments, single
/// quotes, unquoted keys, line breaks in strings, and Python's `True`, `False`, `None`.
pub fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(['{', '[']) {
        let start = at + offset;
        let mut reader = Reader { text, at: start, cut: false };
        match reader.value(0) {
            Some(value) if !is_prose(&value) || reader.cut => {
                at = reader.at.max(start + 1);
                if !is_prose(&value) {
                    found.push(Found { value, cut: reader.cut });
                }
            }
            _ => at = start + 1,
        }
    }
    found
}

/// Whether a value is probably part of the prose: `{}`, `[]`, or a reference such as `[1]`.
fn is_prose(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => !items.iter().any(|item| item.is_object() || item.is_string()),
        _ => true,
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    cut: bool,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
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
    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek() {
            None => {
                self.cut = true;
                None
            }
            Some('{') if depth < MAX_DEPTH => self.object(depth),
            Some('[') if depth < MAX_DEPTH => self.list(depth),
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::String),
            Some(_) => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            self.skip_space();
            let key = match self.peek() {
                None => {
                    self.cut = true;
                    break;
                }
                Some('}') => {
                    self.at += 1;
                    break;
                }
                Some(',') => {
                    self.at += 1;
                    continue;
                }
                Some(quote @ ('"' | '\'')) => self.string(quote),
                Some(_) => self.bare_word(),
            };
            if self.cut {
                break;
            }
            let key = key?;
            self.skip_space();
            match self.peek() {
                Some(':') => self.at += 1,
                None => {
                    self.cut = true;
                    break;
                }
                Some(_) => return None,
            }
            let value = self.value(depth + 1);
            if let Some(value) = value.filter(|value| !self.cut || value.is_array() || value.is_object()) {
                map.insert(key, value);
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
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => {
                    self.cut = true;
                    break;
                }
                Some(']') => {
                    self.at += 1;
                    break;
                }
                Some(',') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let item = self.value(depth + 1);
            if self.cut {
                // A truncated item may differ from the intended one.
                break;
            }
            items.push(item?);
        }
        Some(Value::Array(items))
    }

    fn string(&mut self, quote: char) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((offset, char)) = chars.next() {
            match char {
                '\\' => match chars.next().map(|(_, char)| char) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('u') => text.push(escaped(&mut chars)),
                    Some(other) => text.push(other),
                    None => break,
                },
                _ if char == quote => {
                    self.at += offset + char.len_utf8();
                    return Some(text);
                }
                _ => text.push(char),
            }
        }
        self.at = self.text.len();
        self.cut = true;
        None
    }

    /// Reads an unquoted word.
    fn bare_word(&mut self) -> Option<String> {
        let rest = self.rest();
        let end = rest.find(|char: char| !(char.is_alphanumeric() || "_-+.$".contains(char))).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        self.cut |= self.at == self.text.len();
        (!word.is_empty()).then_some(word)
    }

    /// Reads a number, `true`, `null` and similar words.
    fn word(&mut self) -> Option<Value> {
        let word = self.bare_word()?;
        Some(match word.as_str() {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            "null" | "None" | "undefined" | "NaN" => Value::Null,
            number => Value::Number(number.parse::<Number>().ok()?),
        })
    }
}

/// Reads `\uXXXX`, or a surrogate pair of two of them.
fn escaped(chars: &mut std::str::CharIndices<'_>) -> char {
    let mut unit = || {
        let mut ahead = chars.clone();
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + ahead.next()?.1.to_digit(16)?;
        }
        *chars = ahead;
        Some(unit)
    };
    let Some(first) = unit() else { return char::REPLACEMENT_CHARACTER };
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = chars.clone();
    if ahead.next().map(|(_, char)| char) == Some('\\') && ahead.next().map(|(_, char)| char) == Some('u') {
        let before = chars.clone();
        *chars = ahead;
        let mut unit = 0;
        let mut digits = chars.clone();
        for _ in 0..4 {
            match digits.next().and_then(|(_, char)| char.to_digit(16)) {
                Some(digit) => unit = unit * 16 + digit,
                None => {
                    *chars = before;
                    return char::REPLACEMENT_CHARACTER;
                }
            }
        }
        if (0xDC00..0xE000).contains(&unit) {
            *chars = digits;
            return char::from_u32(0x10000 + ((first - 0xD800) << 10) + (unit - 0xDC00))
                .unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        *chars = before;
    }
    char::REPLACEMENT_CHARACTER
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &[(Value, bool)]) {
        let found: Vec<(Value, bool)> = find(text).into_iter().map(|found| (found.value, found.cut)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_are_found_in_prose() {
        check(r#"Sure! Here it is: {"a": 1}. Anything else?"#, &[(json!({"a": 1}), false)]);
        check(r#"{"a": 1}{"b": ["x"]}"#, &[(json!({"a": 1}), false), (json!({"b": ["x"]}), false)]);
        check("As [1] and {brace} say, {}: []", &[]);
        check("", &[]);
    }

    #[test]
    fn invalid_json_is_tolerated() {
        check(
            "{'a': True, b: None, // why\n \"c\": [\"x\",],,}",
            &[(json!({"a": true, "b": null, "c": ["x"]}), false)],
        );
        check("{\"a\": \"two\nlines\"}", &[(json!({"a": "two\nlines"}), false)]);
        check(r#"{"a": "\u00e4 \ud83d\ude00 \ud83d x"}"#, &[(json!({"a": "ä 😀 \u{fffd} x"}), false)]);
    }

    #[test]
    fn complete_items_of_a_truncated_value_are_kept() {
        let text = r#"{"memory": [{"text": "one", "ids": ["a"]}, {"text": "tw"#;
        check(text, &[(json!({"memory": [{"text": "one", "ids": ["a"]}]}), true)]);
        check(
            r#"{"memory": [{"text": "one"}, {"text": "two", "ids": ["a"#,
            &[(json!({"memory": [{"text": "one"}]}), true)],
        );
        check(r#"{"memory": ["#, &[(json!({"memory": []}), true)]);
        check(r#"{"n": 12"#, &[]);
    }

    proptest! {
        #[test]
        fn valid_json_is_read_unchanged(texts in proptest::collection::vec(".*", 0..4), number: i64, flag: bool) {
            let value = json!({"texts": texts, "n": number, "flag": flag, "inner": {"none": null, "f": 1.5}});
            prop_assert_eq!(find(&value.to_string()), vec![Found { value: value.clone(), cut: false }]);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}") {
            find(&text);
            find(&format!("[{{{text}"));
        }
    }

    #[test]
    fn deep_nesting_is_limited() {
        find(&"[".repeat(20_000));
        find(&"{\"a\":".repeat(20_000));
    }
}
