//! What a command says: data on stdout, as JSON or for people; everything else on stderr.

mod item;
mod text;

use std::io::{self, IsTerminal, Write};

use console::{Style, Term};
use serde_json::Value;

pub(crate) use item::{item, number, when, who};
pub(crate) use text::{counted, one_line, shortened};

use crate::exit::{Exit, Report, StdoutClosed};

/// Columns where the terminal does not say how wide it is.
const WIDTH: usize = 100;

/// What a command does once the reader of its stdout has closed the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnClosed {
    /// It works on to its end; further output is dropped, and the exit code is that of the work.
    GoOn,
    /// It ends at once with this exit code and without an error message.
    Stop(Exit),
}

/// Where and how a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    on_closed: OnClosed,
    terminal: bool,
    width: usize,
}

impl Output {
    /// An output on stdout, as the terminal there allows.
    pub(crate) fn new(json: bool, on_closed: OnClosed) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(|| Term::stdout().size_checked()).flatten().map(|(_, columns)| usize::from(columns));
        Self { json, on_closed, terminal, width: width.unwrap_or(WIDTH).clamp(40, 160) }
    }

    /// Whether programs read the answer.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Columns of a line.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Answers: with the value itself, or with what `human` makes of it.
    pub(crate) fn value(&self, value: &Value, human: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
        let text = match (self.json, self.terminal) {
            (false, _) => human(value),
            (true, true) => format!("{value:#}\n"),
            (true, false) => format!("{value}\n"),
        };
        self.write(&text)
    }

    /// Writes to stdout as it is, at once.
    pub(crate) fn write(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = self.stdout();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Stdout for what is written in many parts. A closed pipe is handled as the command wants it.
    pub(crate) fn stdout(&self) -> Stdout {
        Stdout { inner: io::stdout().lock(), on_closed: self.on_closed }
    }

    /// Tells people something that is no data; programs are not told.
    pub(crate) fn note(&self, text: &str) {
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
