//! Output of commands: data on stdout, as JSON or as text; everything else on stderr.

mod memory;
mod text;

use std::io::{self, IsTerminal, Write};

use console::{Style, Term};
use serde_json::Value;

pub(crate) use memory::{added_to_json, day, f32_to_json, memory_to_json, speaker};
pub(crate) use text::{one_line, pluralize, truncate};

use crate::error::ErrorReport;

/// Columns of a terminal of unknown width.
const WIDTH: usize = 100;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    terminal: bool,
    width: usize,
}

impl Output {
    /// Detects whether stdout is a terminal, and its width.
    pub fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(|| Term::stdout().size_checked()).flatten().map(|(_, columns)| usize::from(columns));
        Self { json, terminal, width: width.unwrap_or(WIDTH).clamp(40, 160) }
    }

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Columns per line.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Prints a result: as JSON, or as the text that `human` makes of it.
    pub fn value(&self, value: &Value, human: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        let text = match (self.json, self.terminal) {
            (false, _) => human(value),
            (true, true) => format!("{value:#}\n"),
            (true, false) => format!("{value}\n"),
        };
        self.write(&text)
    }

    /// Writes text to stdout and flushes it.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints a remark for people on stderr; nothing with --json.
    pub fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Prints an error on stderr.
    pub(crate) fn error(&self, report: &ErrorReport) {
        let mut stderr = io::stderr();
        let _ = if self.json {
            writeln!(stderr, "{}", report.to_json())
        } else {
            writeln!(stderr, "error: {}", report.message)
        };
    }

    /// Dimmed text, if the terminal supports it.
    pub(crate) fn dim(&self, text: &str) -> String {
        Style::new().dim().apply_to(text).to_string()
    }

    /// Bold text, if the terminal supports it.
    pub(crate) fn bold(&self, text: &str) -> String {
        Style::new().bold().apply_to(text).to_string()
    }
}
