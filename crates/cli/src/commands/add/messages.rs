//! Messages from a file, as JSON or as JSON lines.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use mnemon_engine::{Message, is_json, read_json};
use serde_json::Value;

use crate::error::CliError;

/// Keys that a message can't have: all messages of a call have one owner.
const UNSUPPORTED: [&str; 6] = ["user_id", "agent_id", "run_id", "session", "metadata", "expiration_date"];

/// Reads messages in any of the forms of [`Message::list_from_json`].
pub(super) fn from_json(value: &Value, defaults: &Message) -> Result<Vec<Message>, String> {
    let messages = value.get("messages").unwrap_or(value);
    let messages = messages.as_array().map_or(std::slice::from_ref(messages), Vec::as_slice);
    let has = |key: &str| value.get(key).is_some() || messages.iter().any(|message| message.get(key).is_some());
    if let Some(key) = UNSUPPORTED.into_iter().find(|key| has(key)) {
        return Err(format!("`{key}` is not supported in messages: give it as a flag, or use `mnemon import`"));
    }
    Message::list_from_json(value, defaults)
}

/// Reads the messages of a file, or of stdin for `-`.
pub(in crate::commands) fn read(file: &Path, defaults: &Message) -> anyhow::Result<Vec<Message>> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading messages from stdin")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    parse(text.trim_start_matches('\u{feff}'), defaults)
        .map_err(|error| CliError::usage(format!("{}: {error}", file.display())).into())
}

fn parse(text: &str, defaults: &Message) -> Result<Vec<Message>, String> {
    if is_json(text) {
        return from_json(&read_json(text)?, defaults);
    }
    let mut messages = Vec::new();
    // Joined files may have a byte order mark at any line.
    let lines = text.lines().map(|line| line.trim_start_matches('\u{feff}'));
    for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.trim().is_empty()) {
        let value = read_json(line).map_err(|error| format!("line {number} is not valid JSON: {error}"))?;
        let read = from_json(&value, defaults);
        messages.extend(read.map_err(|fault| format!("line {number}: {fault}"))?);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_a_list_an_object_or_lines() {
        for text in [
            r#"[{"content": "a"}, {"content": "b"}]"#,
            r#"{"messages": [{"content": "a"}, {"content": "b"}]}"#,
            "{\"content\": \"a\"}\n\n{\"content\": \"b\"}\n",
            "\"a\"\n{\"messages\": [\"b\"]}",
            r#"["a", {"content": "b"}]"#,
            "\u{feff}[\"a\", \"\u{feff}b\"]",
            "\u{feff}\"a\"\n\u{feff}{\"content\": \"b\"}",
        ] {
            let messages = parse(text, &Message::default()).unwrap();
            assert_eq!(
                messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(),
                ["a", "b"],
                "{text}"
            );
        }
        for (text, expected) in [
            ("plain", "line 1 is not valid JSON"),
            ("[1]", "messages[0]: "),
            (r#"{"messages": 1}"#, "messages: "),
            (r#"[{"content": "x", "timestamp": 1e400}]"#, "[0].timestamp: the number"),
            (r#"{"content": "x", "user_id": "bob"}"#, "`user_id` is not supported"),
            (r#"["a", {"content": "x", "metadata": {}}]"#, "`metadata` is not supported"),
            ("\"a\"\n[\"b\", {}]", "line 2: messages[1].content: "),
        ] {
            let error = parse(text, &Message::default()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
