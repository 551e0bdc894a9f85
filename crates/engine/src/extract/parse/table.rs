//! Facts in a table: Markdown's, or values that commas or tabs separate.

use serde_json::{Map, Value};

use super::keys::{TEXT_KEYS, is_known, plain_key};

/// Most lines around a table.
const MAX_OTHER_LINES: usize = 3;

/// The rows of an answer that is a table, as objects with the names of the columns; `None` if it is something else.
pub(super) fn items(text: &str) -> Option<Value> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    markdown(&lines).or_else(|| [',', '\t', ';'].iter().find_map(|separator| separated(&lines, *separator)))
}

fn markdown(lines: &[&str]) -> Option<Value> {
    let rule = lines.iter().position(|line| {
        line.contains('-') && line.contains('|') && line.chars().all(|char| "|-: \t".contains(char))
    })?;
    let names = cells(lines.get(rule.checked_sub(1)?)?);
    let rows: Vec<Vec<String>> =
        lines[rule + 1..].iter().take_while(|line| line.contains('|')).map(|line| cells(line)).collect();
    let others = lines.len() - rows.len() - 2;
    (others <= MAX_OTHER_LINES && !rows.is_empty()).then(|| objects(&names, rows))
}

/// The cells of a row.
fn cells(line: &str) -> Vec<String> {
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').unwrap_or(line);
    // A bar in a cell is escaped.
    let line = line.replace("\\|", "\0");
    line.split('|').map(|cell| cell.replace('\0', "|").replace("**", "").trim().to_owned()).collect()
}

/// A table whose first line names its columns, one of them the text.
fn separated(lines: &[&str], separator: char) -> Option<Value> {
    let names_in = |line: &&str| -> Option<Vec<String>> {
        let names = values(line, separator, usize::MAX);
        let are_names = names.len() > 1 && names.iter().all(|name| is_known(&plain_key(name)));
        let has_text = names.iter().any(|name| TEXT_KEYS.contains(&plain_key(name).as_str()));
        (are_names && has_text).then_some(names)
    };
    let (at, names) =
        lines.iter().take(MAX_OTHER_LINES).enumerate().find_map(|(at, line)| Some((at, names_in(line)?)))?;
    let rows: Vec<Vec<String>> = lines[at + 1..].iter().map(|row| values(row, separator, names.len())).collect();
    let are_rows = !rows.is_empty() && rows.iter().all(|row| row.len() == names.len());
    are_rows.then(|| objects(&names, rows))
}

/// The values of a line, at most so many; quotes keep separators in a value.
fn values(line: &str, separator: char, max: usize) -> Vec<String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut is_quoted = false;
    for char in line.chars() {
        match char {
            '"' => is_quoted = !is_quoted,
            char if char == separator && !is_quoted && values.len() + 1 < max => {
                values.push(std::mem::take(&mut value))
            }
            char => value.push(char),
        }
    }
    values.push(value);
    values.iter().map(|value| value.trim().to_owned()).collect()
}

fn objects(names: &[String], rows: Vec<Vec<String>>) -> Value {
    let names: Vec<String> = names.iter().map(|name| plain_key(name)).collect();
    let object = |row: Vec<String>| -> Value {
        names.iter().cloned().zip(row.into_iter().map(Value::from)).collect::<Map<String, Value>>().into()
    };
    rows.into_iter().map(object).collect()
}
