//! Reads a settings file: keys and values in TOML, without tables.

use std::collections::BTreeMap;
use std::path::Path;

use mnemon_engine::ErrorCode;
use toml::{Spanned, Value};

use crate::error::CliError;

/// A key of a settings file, with its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: FileValue,
    /// File and line, for error messages.
    pub(super) origin: String,
}

/// A value in a settings file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileValue {
    /// A string.
    Text(String),
    /// A number or boolean.
    Literal(String),
    /// A value of a kind that no setting has; the text names the kind.
    Other(&'static str),
}

/// The entries of a settings file, in the order of their lines.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, CliError> {
    let failed = |error: std::io::Error| CliError::failed(ErrorCode::Io, format!("{}: {error}", path.display()));
    let content = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(content)
        .map_err(|_| CliError::usage(format!("{} is not valid UTF-8: save it as UTF-8", path.display())))?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, path: &str) -> Result<Vec<Entry>, CliError> {
    let origin = |place: usize| format!("{path}, line {}", line(text, place));
    let values: BTreeMap<Spanned<String>, Value> = toml::from_str(text).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        CliError::usage(format!("{}: {}", origin(place), error.message()))
    })?;
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (Spanned<String>, Value)| {
        let origin = origin(key.span().start);
        Entry { key: key.into_inner(), value: value.into(), origin }
    };
    Ok(values.into_iter().map(entry).collect())
}

impl From<Value> for FileValue {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Integer(number) => Self::Literal(number.to_string()),
            // 1.0 stays different from 1.
            Value::Float(number) => Self::Literal(format!("{number:?}")),
            Value::Boolean(value) => Self::Literal(value.to_string()),
            Value::Datetime(_) => Self::Other("a date or time"),
            Value::Array(_) => Self::Other("a list"),
            Value::Table(_) => Self::Other("a table"),
        }
    }
}

/// The number of the line with this byte.
fn line(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Result<Vec<(String, FileValue, String)>, String> {
        let entries = parse(text, "f").map_err(|error| error.to_string())?;
        Ok(entries.into_iter().map(|entry| (entry.key, entry.value, entry.origin)).collect())
    }

    #[test]
    fn values_keep_their_kind_and_line() {
        let text = "# a\nb = \"x\"\n\na = 1_0\nc = 0x10\nd = true\ne = 0.50\nf = 1979-05-27\ng = [1]\n[h]\ni = 1";
        let literal = |text: &str| FileValue::Literal(text.to_owned());
        let expected = [
            ("b", FileValue::Text("x".into()), 2),
            ("a", literal("10"), 4),
            ("c", literal("16"), 5),
            ("d", literal("true"), 6),
            ("e", literal("0.5"), 7),
            ("f", FileValue::Other("a date or time"), 8),
            ("g", FileValue::Other("a list"), 9),
            ("h", FileValue::Other("a table"), 10),
        ];
        let expected = expected.map(|(key, value, line)| (key.to_owned(), value, format!("f, line {line}")));
        for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            assert_eq!(entries(&text).unwrap(), expected);
        }
        assert_eq!(entries("").unwrap(), []);
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        for (text, line) in [
            ("a = \n", "f, line 1: "),
            ("a = 1\na = 2\n", "f, line 2: "),
            ("\n\nstore = sqlite:x\n", "f, line 3: "),
            ("a = 1\nb = \"x\nc = 2\n", "f, line 2: "),
            ("a\n", "f, line 1: "),
            ("a: 1\n", "f, line 1: "),
        ] {
            let error = entries(text).unwrap_err();
            assert!(error.starts_with(line) && error.len() > line.len(), "{text:?}: {error}");
        }
    }
}
