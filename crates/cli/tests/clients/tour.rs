//! Runs the commands of docs/server-tour.md with curl and compares their output, except for ids and times.

use std::path::Path;
use std::process::Command;

use mnemon_testbed::trials::Failed;

use crate::ServerProcess;

/// The code blocks of one language.
fn blocks<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let open = format!("```{kind}\n");
    text.split(&open).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// The text without ids, keys and times.
fn redacted(text: &str) -> String {
    let mut line = String::new();
    let mut run = String::new();
    let keep = |run: &str| run.len() < 8 || !run.bytes().any(|b| b.is_ascii_digit()) || run.starts_with("http");
    for char in text.chars().chain(['\0']) {
        if char.is_ascii_alphanumeric() || "-_:.+".contains(char) {
            run.push(char);
            continue;
        }
        line.push_str(if keep(&run) { &run } else { "…" });
        run.clear();
        line.push(char);
    }
    line.trim_end_matches('\0').trim_end().to_owned()
}

pub(crate) fn run() -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/server-tour.md");
    let text = std::fs::read_to_string(path)?;
    let commands = blocks(&text, "sh");
    let outputs = blocks(&text, "json");
    // The first block starts the server.
    if commands.len() != outputs.len() + 1 {
        return Err(format!("{} blocks of commands, {} of output", commands.len(), outputs.len()).into());
    }
    let server = ServerProcess::start(r#"{"ana-key": "ana", "bob-key": "bob"}"#);
    let mut script = format!("exec 2>&1\nM={}\n", server.url);
    for block in &commands[1..] {
        script.push_str(&format!("{block}\nprintf '\\n@@\\n'\n"));
    }
    let ran = Command::new("bash").args(["-c", &script]).output()?;
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    for ((block, expected), got) in commands[1..].iter().zip(&outputs).zip(printed.split("@@\n")) {
        let (got, expected) = (redacted(got), redacted(expected));
        if got != expected {
            return Err(format!("after:\n{block}\n--- printed\n{got}\n--- the tour says\n{expected}").into());
        }
    }
    Ok(())
}
