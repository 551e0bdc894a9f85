//! Messages from a file: a JSON list, an object that contains one, or one message per line.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use mnemon_engine::Message;
use serde_json::Value;

use crate::error::CliError;

/// Reads the messages of a file, or of stdin for `-`.
pub(super) fn read(file: &Path, defaults: &Message) -> anyhow::Result<Vec<Message>> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading messages from stdin")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    parse(&text, defaults).map_err(|error| CliError::usage(format!("{}: {error}", file.display())).into())
}

fn parse(text: &str, defaults: &Message) -> Result<Vec<Message>, String> {
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(mut map)) if map.contains_key("messages") => match map.remove("messages") {
            Some(Value::Array(items)) => items,
            _ => return Err("`messages` must be a list".into()),
        },
        Ok(item) => vec![item],
        Err(_) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let parse = |(at, line): (usize, &str)| {
                serde_json::from_str(line).map_err(|error| format!("line {} is not valid JSON: {error}", at + 1))
            };
            lines.map(parse).collect::<Result<_, _>>()?
        }
    };
    let numbered = items.iter().enumerate();
    numbered
        .map(|(at, item)| Message::from_json(item, defaults).map_err(|e| format!("message {}: {e}", at + 1)))
        .collect()
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
        ] {
            let messages = parse(text, &Message::default()).unwrap();
            assert_eq!(
                messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(),
                ["a", "b"],
                "{text}"
            );
        }
        for (text, expected) in
            [("plain", "line 1 is not valid JSON"), ("[1]", "message 1"), (r#"{"messages": 1}"#, "must be a list")]
        {
            let error = parse(text, &Message::default()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
