//! `mnemon add --stdin`: stores line by line and prints each result at once.

use std::io::{self, BufRead, Read};

use mnemon_engine::{AddRequest, Engine, MAX_TEXT_BYTES, Message, is_cut_json, is_json, read_json};
use serde_json::{Value, json};

use super::messages::from_json;
use crate::error::{CliError, ErrorReport, Exit};
use crate::output::{Output, added_to_json, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// Longest line: JSON escapes make a message at most this much longer.
const MAX_LINE: u64 = 8 * MAX_TEXT_BYTES as u64;

/// Stores each line on its own and prints the result as soon as it is durable. A line that is invalid is reported and
/// skipped. If the store fails, no further line is read.
pub(super) fn run(request: AddRequest, defaults: &Message, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = wiring::open_or_create_engine(settings)?;
    let mut stdin = io::stdin().lock();
    let mut bytes = Vec::new();
    let (mut stored, mut refused) = (0, 0);
    for number in 1.. {
        bytes.clear();
        if stdin.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.len() as u64 == MAX_LINE && !bytes.ends_with(b"\n") {
            return Err(
                CliError::usage(format!("line {number} is too long; this line and the rest were not stored")).into()
            );
        }
        match store_line(&bytes, number, &request, defaults, &engine) {
            Ok(results) => {
                stored += results.iter().filter(|result| !result["id"].is_null()).count();
                results.iter().try_for_each(|result| print_result(result, out))?;
            }
            Err(error) => {
                let report = ErrorReport::of(&error);
                if report.code.exit() != Exit::Usage {
                    return Err(error.context(format!("line {number}")));
                }
                out.error(&ErrorReport { message: format!("line {number}: {}", report.message), ..report });
                refused += 1;
            }
        }
    }
    if refused == 0 {
        return Ok(Exit::Ok);
    }
    let (stored, refused) = (pluralize(stored, "memory", "memories"), pluralize(refused, "line", "lines"));
    out.note(&format!("{stored} stored, {refused} refused"));
    Ok(Exit::Failed)
}

/// Stores the messages of a line; none for a blank line.
fn store_line(
    bytes: &[u8],
    number: usize,
    request: &AddRequest,
    defaults: &Message,
    engine: &Engine,
) -> anyhow::Result<Vec<Value>> {
    let line = std::str::from_utf8(bytes).map_err(|_| CliError::usage("not valid UTF-8"))?;
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let messages = parse(line, defaults).map_err(CliError::usage)?;
    let contents: Vec<String> = messages.iter().map(|message| message.content.clone()).collect();
    let added = engine.add(AddRequest { messages, ..request.clone() })?;
    let result = |(index, content): (usize, &String)| {
        let mut result = match added.iter().find(|added| added.sources.contains(&index)) {
            Some(added) => added_to_json(added),
            None => json!({"id": null, "memory": content, "event": "NONE"}),
        };
        result["line"] = number.into();
        result
    };
    Ok(contents.iter().enumerate().map(result).collect())
}

/// A line that is a list in JSON or begins with a brace is read as messages. Any other line is the text itself.
fn parse(line: &str, defaults: &Message) -> Result<Vec<Message>, String> {
    let value: Value = match read_json(line) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        Err(error) if line.starts_with(['{', '[']) && is_json(line) => return Err(error),
        Err(error) if line.starts_with('{') => {
            return Err(format!(
                r#"the line begins with a brace but is not valid JSON ({error}); send such a text as {{"content": "…"}}"#
            ));
        }
        Err(_) if is_cut_list(line) => {
            return Err(
                r#"the line is a part of a JSON list; give a list in one line, or its file with --messages, and such a text as {"content": "…"}"#
                    .to_owned(),
            );
        }
        _ => return Ok(vec![Message { content: line.to_owned(), ..defaults.clone() }]),
    };
    from_json(&value, defaults)
}

/// Whether a line is a JSON list without its end, or the end of one.
fn is_cut_list(line: &str) -> bool {
    let begins = line.starts_with('[') && is_cut_json(line);
    begins || line.chars().all(|c| "[]{},".contains(c) || c.is_whitespace())
}

fn print_result(result: &Value, out: &Output) -> anyhow::Result<()> {
    if out.is_json() {
        return out.write(&format!("{result}\n"));
    }
    match result["id"].as_str() {
        Some(id) => out.write(&format!("{id}\n")),
        None => {
            out.note(&format!(
                "line {}: skipped: an instruction, a message without text, or a duplicate",
                result["line"]
            ));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use mnemon_store::Role;

    use super::*;

    #[test]
    fn a_line_is_text_or_messages() {
        let defaults = Message::default();
        let read = |line| parse(line, &defaults);
        for text in
            ["[ok] plain", "[1] a source", "[ ] to do", "[x] done", "[\"quoted\"] text", "7", "\"quoted\"", "null"]
        {
            assert_eq!(read(text).unwrap(), [Message { content: text.into(), ..defaults.clone() }]);
        }
        let message = read(r#"{"role": "assistant", "content": "hi", "name": "Bot"}"#).unwrap().remove(0);
        assert_eq!((message.role, message.name.as_deref()), (Role::Assistant, Some("Bot")));
        for list in [r#"["a", {"content": "b"}]"#, r#"{"messages": ["a", "b"]}"#] {
            let contents: Vec<String> = read(list).unwrap().into_iter().map(|message| message.content).collect();
            assert_eq!(contents, ["a", "b"]);
        }
        for (line, fault) in [
            ("{name} is a placeholder", "content"),
            ("[", "part of a JSON list"),
            ("]", "part of a JSON list"),
            ("}, ]", "part of a JSON list"),
            (r#"[{"content": "a"}, {"content": "b"#, "part of a JSON list"),
            (r#"[{"content": "a"},"#, "part of a JSON list"),
            (r#"["a", "b""#, "part of a JSON list"),
            (r#"[{"content": "a"}"#, "part of a JSON list"),
            (r#"["a", 1]"#, "messages[1]: "),
            (r#"{"role": "user"}"#, "messages.content: "),
            (r#"{"content": "x", "timestamp": 18446744073709551616}"#, "timestamp: the number"),
            (r#"{"content": "x", "user_id": "bob"}"#, "user_id"),
            (r#"["a", {"content": "x", "session": "s"}]"#, "session"),
            (r#"{"messages": [{"content": "x", "user_id": "bob"}]}"#, "user_id"),
            (r#"{"messages": {"content": "x", "metadata": {}}}"#, "metadata"),
            (r#"{"messages": ["x"], "run_id": "r"}"#, "run_id"),
        ] {
            assert!(read(line).unwrap_err().contains(fault), "{line}");
        }
    }
}
