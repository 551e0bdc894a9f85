//! Reads JSON from outside: numbers that would be rounded in silence are refused, and a byte order mark is skipped.

use std::ops::Range;

use serde_json::Value;

use crate::message::after_bom;

/// Maximum nesting that is looked at; the parser refuses deeper texts.
const MAX_DEPTH: usize = 200;
/// Every number of this length without an exponent fits.
const MAX_SHORT: usize = 18;
/// Characters of a key or number that are shown.
const MAX_SHOWN: usize = 64;

/// A number in a JSON text that no 64-bit number can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: the number {number} does not fit into 64 bits and would be rounded; send it as a text")]
pub struct OversizedNumber {
    /// The place, such as `metadata.account[1]`; `number` if it is the whole text.
    pub path: String,
    /// The number as written, at most its first 64 characters.
    pub number: String,
}

/// Reads a JSON text, with or without byte order marks before it.
///
/// # Errors
/// A description of the fault, which may be shown to the caller.
pub fn read_json(text: &str) -> Result<Value, String> {
    let text = after_bom(text);
    check_numbers(text.as_bytes()).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Whether a text is one JSON value. Its numbers are not checked.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether a text is the beginning of a JSON value, without its end.
pub fn is_cut_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

/// Checks that every number of a JSON text fits into 64 bits: a whole number as an integer, another one as a finite float.
/// JSON parsers round the others in silence. A text that is not valid JSON passes as far as it can't be read.
///
/// # Errors
/// The first number that does not fit.
pub fn check_numbers(text: &[u8]) -> Result<(), OversizedNumber> {
    let mut path: Vec<Step> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' => path.push(Step::Key(0..0)),
            b'[' => path.push(Step::Index(0)),
            b'}' | b']' => {
                path.pop();
            }
            b',' => {
                if let Some(Step::Index(index)) = path.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = end_of_string(text, at);
                let after =
                    text[end..].iter().position(|byte| !byte.is_ascii_whitespace()).map_or(end, |gap| end + gap);
                if let (Some(Step::Key(key)), Some(b':')) = (path.last_mut(), text.get(after)) {
                    *key = at..end;
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = text[at..].iter().position(|byte| !is_part(byte)).unwrap_or(text.len() - at);
                let number = std::str::from_utf8(&text[at..at + length]).unwrap_or_default();
                if !fits(number) {
                    let number = number.chars().take(MAX_SHOWN).collect();
                    return Err(OversizedNumber { path: render(&path, text), number });
                }
                at += length;
                continue;
            }
            _ => {}
        }
        if path.len() > MAX_DEPTH {
            return Ok(());
        }
        at += 1;
    }
    Ok(())
}

/// A step from the whole text to a value.
enum Step {
    /// The quoted key of an object, as a range of the text.
    Key(Range<usize>),
    /// The index of a list.
    Index(usize),
}

/// The end of the string that begins at a quotation mark, after its closing one.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether a number keeps its value; true also for a text that is not a number.
fn fits(number: &str) -> bool {
    // Most numbers, such as those of vectors, are seen to fit without being read.
    if number.len() <= MAX_SHORT && !number.contains(['e', 'E']) {
        return true;
    }
    let digits = number.strip_prefix('-').unwrap_or(number);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = digits.trim_start_matches('0');
        return digits.is_empty() || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    number.parse::<f64>().map_or(true, f64::is_finite)
}

fn render(path: &[Step], text: &[u8]) -> String {
    let mut rendered = String::new();
    for step in path {
        match step {
            Step::Key(range) => {
                let key: String = serde_json::from_slice(&text[range.clone()]).unwrap_or_default();
                if !rendered.is_empty() {
                    rendered.push('.');
                }
                rendered.extend(key.chars().take(MAX_SHOWN));
            }
            Step::Index(index) => rendered.push_str(&format!("[{index}]")),
        }
    }
    if rendered.is_empty() { "number".to_owned() } else { rendered }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_beyond_64_bits_are_named_with_their_place() {
        for (text, place) in [
            (r#"{"metadata": {"n": 18446744073709551616}}"#, "metadata.n"),
            (r#"{"metadata": {"a": [1, {"b": -9223372036854775809}]}}"#, "metadata.a[1].b"),
            (
                r#"{"a": "1", "filters": {"AND": [{"x": 1}, {"k": {"gte": 99999999999999999999}}]}}"#,
                "filters.AND[1].k.gte",
            ),
            (r#"{"n": 1e400}"#, "n"),
            (r#"{"n": -1.5E+999}"#, "n"),
            (r#"[[0],[1,123456789012345678901234567890]]"#, "[1][1]"),
            (r#"{"a\"b\\": 36893488147419103232}"#, "a\"b\\"),
            (r#"{"{": {"[": 36893488147419103232}}"#, "{.["),
            ("36893488147419103232", "number"),
            ("{\n  \"n\"  :\t36893488147419103232 }", "n"),
        ] {
            let error = check_numbers(text.as_bytes()).unwrap_err();
            assert_eq!(error.path, place, "{text}");
            assert!(read_json(text).unwrap_err().starts_with(place), "{text}");
        }
    }

    #[test]
    fn numbers_of_64_bits_and_texts_pass() {
        for text in [
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e300, "d": -0, "e": 0.1, "f": 1e-999}"#,
            r#"{"a": "18446744073709551616", "18446744073709551616": 1}"#,
            r#""\" 18446744073709551616""#,
            "",
            "{",
            "\"",
            "\"\\",
            "-",
            "}]}",
        ] {
            assert_eq!(check_numbers(text.as_bytes()), Ok(()), "{text}");
        }
        assert_eq!(read_json("\u{feff}{\"a\": 1}"), Ok(json!({"a": 1})));
    }

    proptest! {
        /// A whole number is refused if and only if the parser would turn it into a float.
        #[test]
        fn exactly_the_rounded_numbers_are_refused(number in "-?[1-9][0-9]{0,24}", key in "\\PC{0,6}") {
            let text = format!("{{{}: [0, {number}]}}", json!(key));
            let value: Value = serde_json::from_str(&text).unwrap();
            let rounded = value[&key][1].is_f64();
            prop_assert_eq!(check_numbers(text.as_bytes()).is_err(), rounded);
        }

        #[test]
        fn any_bytes_are_looked_at_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = check_numbers(&bytes);
        }
    }
}
