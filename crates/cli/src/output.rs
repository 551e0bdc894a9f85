//! Output of commands: data on stdout, as JSON or as text; everything else on stderr.

mod memory;
mod text;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use console::{Style, Term};
use serde_json::Value;

pub(crate) use memory::{added_to_json, day, f32_to_json, memory_to_json};
pub(crate) use text::{one_line, pluralize, truncate};

use crate::error::{ErrorReport, Exit, StdoutClosed};

/// Columns of a terminal of unknown width.
const WIDTH: usize = 100;

/// Why stdout could not be written, for example because its disk is full: the first error while the work went on.
static LOST: OnceLock<String> = OnceLock::new();

/// Why a part of the output was lost; `None` if all was written, or if its reader did not want it.
pub(crate) fn lost_output() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

/// What a command does once the reader of its stdout has closed the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnClosed {
    /// It works on to its end; further output is dropped, and the exit code is that of the work. It also works on if stdout
    /// can't be written for another reason; see [`lost_output`].
    GoOn,
    /// It ends at once with this exit code and without an error message.
    Stop(Exit),
}

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    on_closed: OnClosed,
    terminal: bool,
    width: usize,
}

impl Output {
    /// Detects whether stdout is a terminal, and its width. If stdout is closed, the work goes on.
    pub fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(|| Term::stdout().size_checked()).flatten().map(|(_, columns)| usize::from(columns));
        let width = width.unwrap_or(WIDTH).clamp(40, 160);
        Self { json, on_closed: OnClosed::GoOn, terminal, width }
    }

    /// The same, with what a closed stdout does to the command.
    pub(crate) fn on_closed(self, on_closed: OnClosed) -> Self {
        Self { on_closed, ..self }
    }

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether people read stdout on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal && !self.json
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
        let mut stdout = self.stdout();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Stdout for what is written in many parts. A closed pipe is handled as the command wants it.
    pub(crate) fn stdout(&self) -> Stdout {
        Stdout { inner: io::stdout().lock(), on_closed: self.on_closed }
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

/// Stdout that knows what a closed pipe means.
pub(crate) struct Stdout {
    inner: io::StdoutLock<'static>,
    on_closed: OnClosed,
}

impl Stdout {
    fn unless_closed<T>(&self, done: io::Result<T>, dropped: T) -> io::Result<T> {
        match (done, self.on_closed) {
            (Err(error), OnClosed::GoOn) if error.kind() == io::ErrorKind::BrokenPipe => Ok(dropped),
            (Err(error), OnClosed::Stop(exit)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, StdoutClosed(exit)))
            }
            (Err(error), OnClosed::GoOn) if error.kind() != io::ErrorKind::Interrupted => {
                LOST.get_or_init(|| error.to_string());
                Ok(dropped)
            }
            (Err(error), OnClosed::Stop(_)) if error.kind() != io::ErrorKind::Interrupted => {
                Err(io::Error::new(error.kind(), format!("writing to stdout: {error}")))
            }
            (done, _) => done,
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.inner.write(bytes);
        self.unless_closed(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.inner.flush();
        self.unless_closed(done, ())
    }
}
