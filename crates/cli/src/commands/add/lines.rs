//! `mnemon add --stdin`: stores line by line and prints each result at once.

use std::io::{self, BufRead, Read};

use mnemon_engine::{AddRequest, Engine, MAX_TEXT_BYTES, Message};
use serde_json::{Value, json};

use crate::error::{CliError, ErrorReport, Exit};
use crate::output::{Output, added_to_json};
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
    let mut exit = Exit::Ok;
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
            Ok(Some(result)) => print_result(&result, out)?,
            Ok(None) => {}
            Err(error) => {
                let report = ErrorReport::of(&error);
                if report.code.exit() != Exit::Usage {
                    return Err(error.context(format!("line {number}")));
                }
                out.error(&ErrorReport { message: format!("line {number}: {}", report.message), ..report });
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

/// Stores the message of a line; `None` for a blank line.
fn store_line(
    bytes: &[u8],
    number: usize,
    request: &AddRequest,
    defaults: &Message,
    engine: &Engine,
) -> anyhow::Result<Option<Value>> {
    let line = std::str::from_utf8(bytes).map_err(|_| CliError::usage("not valid UTF-8"))?.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let message = parse(line, defaults).map_err(CliError::usage)?;
    let content = message.content.clone();
    let added = engine.add(AddRequest { messages: vec![message], ..request.clone() })?;
    let mut result = match added.first() {
        Some(added) => added_to_json(added),
        None => json!({"id": null, "memory": content, "event": "NONE"}),
    };
    result["line"] = number.into();
    Ok(Some(result))
}

/// A line that begins with a brace is a message in JSON. Any other line is the text itself.
fn parse(line: &str, defaults: &Message) -> Result<Message, String> {
    if !line.starts_with('{') {
        return Ok(Message { content: line.to_owned(), ..defaults.clone() });
    }
    let value: Value = serde_json::from_str(line).map_err(|error| {
        format!(
            r#"the line begins with a brace but is not valid JSON ({error}); send such a text as {{"content": "…"}}"#
        )
    })?;
    let unsupported = ["user_id", "agent_id", "run_id", "session", "metadata"];
    if let Some(key) = unsupported.iter().find(|key| value.get(key).is_some()) {
        return Err(format!("`{key}` is not supported in a line: give it as a flag, or use `mnemon import`"));
    }
    Message::from_json(&value, defaults)
}

fn print_result(result: &Value, out: &Output) -> anyhow::Result<()> {
    if out.is_json() {
        return out.write(&format!("{result}\n"));
    }
    match result["id"].as_str() {
        Some(id) => out.write(&format!("{id}\n")),
        None => {
            out.note(&format!("line {}: skipped, a system message or a duplicate", result["line"]));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use mnemon_store::Role;

    use super::*;

    #[test]
    fn a_line_is_text_or_a_message() {
        let defaults = Message::default();
        let read = |line| parse(line, &defaults);
        assert_eq!(read("[ok] plain").unwrap().content, "[ok] plain");
        let message = read(r#"{"role": "assistant", "content": "hi", "name": "Bot"}"#).unwrap();
        assert_eq!((message.role, message.name.as_deref()), (Role::Assistant, Some("Bot")));
        assert!(read("{name} is a placeholder").unwrap_err().contains("content"));
    }
}
