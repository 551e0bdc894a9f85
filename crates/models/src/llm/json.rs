//! Reads JSON in the form in which language models write it: surrounded by prose, with extra commas, truncated.

mod reader;
mod string;

use serde_json::Value;

use reader::Reader;
pub use reader::add;

/// Most values in one text that are read again with tolerance for quotes inside strings, which takes longer.
const MAX_TOLERANT: usize = 64;

/// A JSON value in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The value. If it is truncated, only its complete parts: incomplete items of lists are left out unless they contain
    /// complete objects, and so are incomplete values of keys unless they are lists or objects.
    pub value: Value,
    /// Whether it is truncated: the text ends before the value.
    pub cut: bool,
    /// The incomplete item of a list that was left out, if nothing of it is missing but closing brackets.
    pub tail: Option<Value>,
    /// Whether a part is missing, beside closing brackets.
    pub lost: bool,
    /// Whether an object begins before it in the text that can't be read.
    pub after_fault: bool,
}

impl Found {
    /// A value that is not truncated.
    pub fn whole(value: Value) -> Self {
        Self { value, cut: false, tail: None, lost: false, after_fault: false }
    }
}

/// Finds the objects and lists in a text, in order, with any text between them. Tolerates extra and missing commas,
/// comments, quotes and punctuation of other writings, quotes inside strings, unquoted keys, line breaks in strings, missing
/// and wrong closing brackets, and Python's `True`, `False`, `None`. Values of equal keys are collected, see [`add`].
pub fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut tolerant = 0;
    let mut after_fault = false;
    while let Some(offset) = text[at..].find(['{', '[', '\u{ff5b}', '\u{ff3b}']) {
        let start = at + offset;
        let after = start + text[start..].chars().next().map_or(1, char::len_utf8);
        let mut reader = Reader::new(text, start, false);
        let mut value = reader.value(0);
        if value.is_none() && tolerant < MAX_TOLERANT {
            tolerant += 1;
            reader = Reader::new(text, start, true);
            value = reader.value(0);
        }
        match value {
            Some(value) if !is_prose(&value) || reader.cut => {
                at = reader.at.max(after);
                if !is_prose(&value) || reader.tail.is_some() {
                    found.push(Found { value, cut: reader.cut, tail: reader.tail, lost: reader.lost, after_fault });
                }
            }
            other => {
                at = after;
                after_fault |= other.is_none() && text[after..].trim_start().starts_with(string::is_quote);
            }
        }
    }
    found
}

/// The text that a JSON string holds, if the whole text is one; also if its end is missing.
pub fn quoted(text: &str) -> Option<String> {
    let text = text.trim();
    let mut reader = Reader::new(text, 0, false);
    let read = text.starts_with('"').then(|| reader.string('"'))?;
    read.filter(|_| reader.at == text.len()).or_else(|| reader.cut.then(|| string::unescaped(&text[1..])))
}

/// The object in a service's response, read with the same tolerance if it is not valid JSON: models return halves of
/// surrogate pairs, and proxies bytes that are not UTF-8.
///
/// # Errors
/// A description of the fault.
pub(super) fn parse_body(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).or_else(|error| {
        let text = String::from_utf8_lossy(body);
        let first = find(&text).into_iter().next().filter(|found| !found.cut && found.value.is_object());
        first.map(|found| found.value).ok_or_else(|| format!("invalid JSON ({error})"))
    })
}

/// Whether a value is probably part of the prose: `{}`, `[]`, or a reference such as `[1]`.
fn is_prose(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => !items.iter().any(|item| item.is_object() || item.is_string() || item.is_array()),
        _ => true,
    }
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

    #[test]
    fn quotes_and_brackets_are_tolerated() {
        let whole = json!({"memory": [{"text": "a"}, {"text": "b"}]});
        for text in [
            r#"{“memory”: [{“text”: “a”}, {“text”: “b”}]}"#,
            r#"{„memory“: [{„text“: „a“}, {„text“: „b“}]}"#,
            r#"{‘memory’: [{‘text’: ‘a’}, {‘text’: ‘b’}]}"#,
            r#"{«memory»: [{«text»: «a»}, {«text»: «b»}]}"#,
            r#"{»memory«: [{»text«: »a«}, {»text«: »b«}]}"#,
            r#"{‹memory›: [{‹text›: ‹a›}, {‹text›: ‹b›}]}"#,
            r#"{「memory」: [{「text」: 「a」}, {『text』: 『b』}]}"#,
            r#"{《memory》: [{《text》: 《a》}, {《text》: 《b》}]}"#,
            r#"{″memory″: [{″text″: ″a″}, {＂text＂: ＂b＂}]}"#,
            "{`memory`: [{`text`: `a`}, {`text´: `b´}]}",
            "｛\"memory\"：［｛\"text\"：\"a\"｝，｛\"text\"：\"b\"｝］｝",
            r#"{"memory" => [{"text" => "a"}, {"text" = "b"}]}"#,
            r#"{"memory" [{"text": "a"}, {"text": "b"}]}"#,
            r#"{"memory": [{"text": "a"}], "memory": [{"text": "b"}]}"#,
            r#"{"memory": {"text": "a"}, "memory": {"text": "b"}}"#,
            r#"{"memory”: [{"text": “a"}, {“text": "b”}]}"#,
            r#"{"memory": [{"text": "a"}, {"text": "b"]}"#,
            r#"{"memory": [{"text": "a"}, {"text": "b"}}"#,
            r#"{"memory": [{"text": "a"} {"text": "b"}]}"#,
            r#"{"memory": [{"text": "a"}, {"text": "b"}]}]}"#,
            "{memory: [{text: 'a'}, /* two */ {text: 'b'},],}",
        ] {
            check(text, &[(whole.clone(), false)]);
        }
        check(
            r#"{"a": "He said "hi" to me", "b": ""yes""}"#,
            &[(json!({"a": "He said \"hi\" to me", "b": "\"yes\""}), false)],
        );
        check("{'a': 'I don't'}", &[(json!({"a": "I don't"}), false)]);
        check(r#"{"a": NaN, "b": -Infinity, "c": 007, "a": 1}"#, &[(json!({"a": 1, "b": null, "c": "007"}), false)]);
        check(r#"[[{"a": 1}]]"#, &[(json!([[{"a": 1}]]), false)]);
    }

    #[test]
    fn a_tail_lacks_closing_brackets_only() {
        for (text, value, tail, lost) in [
            (r#"{"memory": [{"text": "a"}"#, json!({"memory": [{"text": "a"}]}), None, false),
            (r#"{"memory": [{"text": "a""#, json!({"memory": []}), Some(json!({"text": "a"})), false),
            (
                r#"[{"memory": [{"n": ["1"]}, {"text": "a""#,
                json!([{"memory": [{"n": ["1"]}]}]),
                Some(json!({"text": "a"})),
                false,
            ),
            (r#"{"memory": [{"text": "a"#, json!({"memory": []}), None, true),
            (r#"{"memory": [{"text": "a"}], "no"#, json!({"memory": [{"text": "a"}]}), None, true),
        ] {
            assert_eq!(find(text), vec![Found { value, cut: true, tail, lost, after_fault: false }], "{text}");
        }
    }

    #[test]
    fn a_text_in_quotes_is_unquoted() {
        assert_eq!(quoted(r#" "{\"a\": 1}" "#).as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(quoted(r#""{\"a\": 1"#).as_deref(), Some(r#"{"a": 1"#));
        assert_eq!((quoted(r#""a" and "b""#), quoted("a")), (None, None));
    }

    #[test]
    fn bodies_are_read_although_they_are_not_valid_json() {
        assert_eq!(parse_body(br#"{"a": "\ud83d!"}"#).unwrap(), json!({"a": "\u{fffd}!"}));
        assert_eq!(parse_body(b"{\"a\": \"\xff!\"}").unwrap(), json!({"a": "\u{fffd}!"}));
        assert_eq!(parse_body(b"\xef\xbb\xbf{\"a\": NaN}").unwrap(), json!({"a": null}));
        for bad in [&b"{\"a\": \"x"[..], b"", b"no", b"[{\"a\": NaN}]"] {
            assert!(parse_body(bad).unwrap_err().starts_with("invalid JSON"), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_read_unchanged(texts in proptest::collection::vec(".*", 0..4), number: i64, flag: bool) {
            let value = json!({"texts": texts, "n": number, "flag": flag, "inner": {"none": null, "f": 1.5}});
            prop_assert_eq!(find(&value.to_string()), vec![Found::whole(value.clone())]);
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
