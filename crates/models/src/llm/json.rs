//! JSON as language models write it: between prose, with commas too many, cut in the middle.

use serde_json::{Map, Number, Value};

/// Levels that values may nest.
const MAX_DEPTH: usize = 64;

/// A JSON value that was found in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The value. Of one that is cut, what was complete: unfinished items of lists are left out, and so are unfinished
    /// values of keys that are no lists or objects themselves.
    pub value: Value,
    /// Whether the text ends before the value does.
    pub cut: bool,
}

/// The objects and lists of a text, in order, whatever stands between them. Tolerates commas too many, comments, single
/// quotes, bare keys, line breaks inside strings, and Python's `True`, `False`, `None`.
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

/// `{}`, `[]` and such as `[1]`, a footnote, say nothing.
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

    fn skip(&mut self) {
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

    /// A value; `None` if there is none, or it is cut and nothing of it can be kept.
    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip();
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
            self.skip();
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
                Some(_) => self.bare(),
            };
            if self.cut {
                break;
            }
            let key = key?;
            self.skip();
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
            self.skip();
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
                // An item that is cut is not what was meant.
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

    fn bare(&mut self) -> Option<String> {
        let rest = self.rest();
        let end = rest.find(|char: char| !(char.is_alphanumeric() || "_-+.$".contains(char))).unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        self.cut |= self.at == self.text.len();
        (!word.is_empty()).then_some(word)
    }

    /// A number, `true`, `null` and their like.
    fn word(&mut self) -> Option<Value> {
        let word = self.bare()?;
        Some(match word.as_str() {
            "true" | "True" => Value::Bool(true),
            "false" | "False" => Value::Bool(false),
            "null" | "None" | "undefined" | "NaN" => Value::Null,
            number => Value::Number(number.parse::<Number>().ok()?),
        })
    }
}

/// What `\uXXXX` stands for, a pair of them for what lies beyond.
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
    fn values_are_found_between_prose() {
        check(r#"Sure! Here it is: {"a": 1}. Anything else?"#, &[(json!({"a": 1}), false)]);
        check(r#"{"a": 1}{"b": ["x"]}"#, &[(json!({"a": 1}), false), (json!({"b": ["x"]}), false)]);
        check("As [1] and {brace} say, {}: []", &[]);
        check("", &[]);
    }

    #[test]
    fn what_is_nearly_json_is_read() {
        check(
            "{'a': True, b: None, // why\n \"c\": [\"x\",],,}",
            &[(json!({"a": true, "b": null, "c": ["x"]}), false)],
        );
        check("{\"a\": \"two\nlines\"}", &[(json!({"a": "two\nlines"}), false)]);
        check(r#"{"a": "\u00e4 \ud83d\ude00 \ud83d x"}"#, &[(json!({"a": "ä 😀 \u{fffd} x"}), false)]);
    }

    #[test]
    fn of_a_cut_answer_complete_items_are_kept() {
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
        fn good_json_is_read_as_it_is(texts in proptest::collection::vec(".*", 0..4), number: i64, flag: bool) {
            let value = json!({"texts": texts, "n": number, "flag": flag, "inner": {"none": null, "f": 1.5}});
            prop_assert_eq!(find(&value.to_string()), vec![Found { value: value.clone(), cut: false }]);
        }

        #[test]
        fn nothing_makes_it_panic_or_run_on(text in ".{0,200}") {
            find(&text);
            find(&format!("[{{{text}"));
        }
    }

    #[test]
    fn depth_has_an_end() {
        find(&"[".repeat(20_000));
        find(&"{\"a\":".repeat(20_000));
    }
}
