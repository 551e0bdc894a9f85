//! What a command says: data on stdout, as JSON or for people; everything else on stderr.

mod item;
mod text;

use std::io::{self, IsTerminal, Write};

use console::{Style, Term};
use serde_json::Value;

pub(crate) use item::{added_item, item, number, when, who};
pub(crate) use text::{counted, one_line, shortened};

use crate::error::Report;

/// Columns where the terminal does not say how wide it is.
const WIDTH: usize = 100;

/// Where and how a command answers.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    terminal: bool,
    width: usize,
}

impl Output {
    /// An output on stdout, as the terminal there allows.
    pub fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(|| Term::stdout().size_checked()).flatten().map(|(_, columns)| usize::from(columns));
        Self { json, terminal, width: width.unwrap_or(WIDTH).clamp(40, 160) }
    }

    /// Whether programs read the answer.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Columns of a line.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Answers: with the value itself, or with what `human` makes of it.
    pub fn value(&self, value: &Value, human: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        let text = match (self.json, self.terminal) {
            (false, _) => human(value),
            (true, true) => format!("{value:#}\n"),
            (true, false) => format!("{value}\n"),
        };
        self.write(&text)
    }

    /// Writes to stdout as it is, at once.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Tells people something that is no data; programs are not told.
    pub fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Tells what went wrong.
    pub(crate) fn error(&self, report: &Report) {
        let mut stderr = io::stderr();
        let _ = if self.json {
            writeln!(stderr, "{}", report.to_json())
        } else {
            writeln!(stderr, "error: {}", report.message)
        };
    }

    /// Less important, where the terminal can show it.
    pub(crate) fn dim(&self, text: &str) -> String {
        Style::new().dim().apply_to(text).to_string()
    }

    /// More important, where the terminal can show it.
    pub(crate) fn bold(&self, text: &str) -> String {
        Style::new().bold().apply_to(text).to_string()
    }
}
