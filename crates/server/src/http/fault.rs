//! The faults of values in plain words: the parsers name types of the program, and places in the text.

use serde::de::IgnoredAny;

/// Most characters of a value that a message shows.
const MAX_SHOWN: usize = 60;

const OTHER_TYPE: &str = "has another type than this key takes";

/// Whether a body is one JSON value.
pub(super) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The fault of a body. The line and column are shown only for text that is not JSON; other faults have a path.
pub(super) fn fault_of(error: &serde_json::Error, body: &[u8]) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(fault) if error.is_data() => in_plain_words(fault),
        Some(_) if is_json(body) => OTHER_TYPE.to_owned(),
        Some(fault) => format!("not valid JSON at line {}, column {}: {fault}", error.line(), error.column()),
        None => in_plain_words(&text),
    }
}

/// A parser's message in plain words. A text that a parser did not write is returned as it is.
pub(super) fn in_plain_words(text: &str) -> String {
    if let Some((name, fault)) = text.split_once(": ").filter(|(name, _)| !name.contains(' ')) {
        return format!("{name}: {}", in_plain_words(fault));
    }
    let parts = ["invalid type: ", "invalid value: ", "unknown variant ", "invalid length "];
    if let Some(rest) = parts.iter().find_map(|start| text.strip_prefix(start))
        && let Some((found, expected)) = rest.rsplit_once(", expected ")
    {
        return format!("must be {}, not {}", wanted(expected), given(found));
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("{name} is missing");
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        return format!("{name} is given twice");
    }
    match text {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => "must be a whole number, 0 or more".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "must be a number".to_owned(),
        "provided string was not `true` or `false`" => "must be true or false".to_owned(),
        text if text.starts_with("data did not match any variant") => OTHER_TYPE.to_owned(),
        text => text.to_owned(),
    }
}

fn wanted(expected: &str) -> String {
    match expected {
        "a boolean" => "true or false".to_owned(),
        "a map" => "an object".to_owned(),
        "a sequence" => "a list".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        text if text.starts_with("struct ") => "an object".to_owned(),
        text => text.to_owned(),
    }
}

fn given(found: &str) -> String {
    let value = |name| found.strip_prefix(name).map(|value: &str| value.trim_matches('`'));
    let text = match found {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" | "Option value" | "null" => "null".to_owned(),
        _ => match (value("integer ").or_else(|| value("floating point ")), value("boolean "), value("string ")) {
            (Some(number), _, _) => format!("the number {number}"),
            (_, Some(boolean), _) => boolean.to_owned(),
            (_, _, Some(text)) => format!("the text {text}"),
            _ => found.to_owned(),
        },
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_described_without_the_parsers_words() {
        for (text, expected) in [
            ("invalid type: integer `5`, expected a string", "must be a string, not the number 5"),
            (
                "invalid type: floating point `1.5`, expected u32",
                "must be a whole number, 0 or more, not the number 1.5",
            ),
            (
                "invalid type: string \"a, expected b\", expected a boolean",
                "must be true or false, not the text \"a, expected b\"",
            ),
            ("invalid type: map, expected a sequence", "must be a list, not an object"),
            ("invalid type: null, expected struct AddBody", "must be an object, not null"),
            ("invalid value: integer `-1`, expected usize", "must be a whole number, 0 or more, not the number -1"),
            ("unknown variant `a`, expected `b` or `c`", "must be `b` or `c`, not `a`"),
            ("missing field `messages`", "`messages` is missing"),
            ("duplicate field `a`", "`a` is given twice"),
            ("top_k: invalid digit found in string", "top_k: must be a whole number, 0 or more"),
            ("data did not match any variant of untagged enum OneOrMany", "has another type than this key takes"),
            ("messages[1].content: is missing", "messages[1].content: is missing"),
            ("timestamp: must be unix seconds", "timestamp: must be unix seconds"),
        ] {
            assert_eq!(in_plain_words(text), expected);
        }
        let long = in_plain_words(&format!("invalid type: string \"{}\", expected u8", "ä".repeat(1000)));
        assert!(long.chars().count() < 120, "{long}");
    }
}
