//! Errors of the command line: their codes and messages.

pub(crate) mod hint;
pub(crate) mod migrate_hint;

use std::fmt;
use std::io;

pub use mnemon_engine::Exit;
use mnemon_engine::{EngineError, ErrorCode};
use mnemon_migrate::MigrateError;
use mnemon_store::StoreError;
use serde_json::{Value, json};

/// An error of the command line itself.
#[derive(Debug)]
pub(crate) struct CliError {
    code: ErrorCode,
    message: String,
}

impl CliError {
    /// Wrong arguments or settings.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::failed(ErrorCode::Usage, message)
    }

    /// A refusal, because the command could destroy data.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::failed(ErrorCode::Refused, message)
    }

    /// An error with this code.
    pub(crate) fn failed(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// The report of an error: the code, and a message in one line.
pub(crate) struct ErrorReport {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl ErrorReport {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        Self { code: code_of(error), message: one_line(error) }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"code": self.code.as_str(), "message": self.message}})
    }
}

/// The reader of stdout has closed the pipe, which ends the command with this exit code. No error message: nobody did wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StdoutClosed(pub(crate) Exit);

impl fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout was closed")
    }
}

impl std::error::Error for StdoutClosed {}

impl StdoutClosed {
    /// Finds the [`StdoutClosed`] in an error. A broken pipe of anything else is an error like any other.
    pub(crate) fn of(error: &anyhow::Error) -> Option<Self> {
        error.chain().find_map(|cause| {
            let io = match cause.downcast_ref::<EngineError>() {
                Some(EngineError::Io { source, .. }) => Some(source),
                _ => cause.downcast_ref::<io::Error>(),
            };
            io?.get_ref()?.downcast_ref::<Self>().copied()
        })
    }
}

/// The code of the outermost error that has one.
fn code_of(error: &anyhow::Error) -> ErrorCode {
    let codes = error.chain().find_map(|cause| {
        let cli = cause.downcast_ref::<CliError>().map(|error| error.code);
        let engine = || cause.downcast_ref::<EngineError>().map(EngineError::code);
        let migrate = || cause.downcast_ref::<MigrateError>().map(MigrateError::code);
        let store = || cause.downcast_ref::<StoreError>().map(ErrorCode::from);
        cli.or_else(engine).or_else(migrate).or_else(store).or_else(|| cause.is::<io::Error>().then_some(ErrorCode::Io))
    });
    codes.unwrap_or(ErrorCode::Failed)
}

/// What to do about the outermost error that has a hint, as the end of a sentence.
fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let engine = cause.downcast_ref::<EngineError>().and_then(hint::engine_hint);
        let migrate = || cause.downcast_ref::<MigrateError>().and_then(migrate_hint::migrate_hint);
        let store = || cause.downcast_ref::<StoreError>().and_then(hint::store_hint);
        engine.or_else(migrate).or_else(store)
    })
}

/// The error and its causes in one line, then what to do. A cause whose text is already in the line is left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    match hint_of(error) {
        Some(hint) => format!("{line}: {hint}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_reported_once_and_in_one_line() {
        let inner = io::Error::other("disk\non fire");
        let error = StoreError::Io { path: "a.db".into(), source: inner };
        let report = ErrorReport::of(&anyhow::Error::from(EngineError::from(error)).context("doctor"));
        assert_eq!(report.message, "doctor: a.db: disk on fire");
        assert_eq!(report.code, ErrorCode::Io);
    }

    #[test]
    fn the_outermost_error_with_a_code_decides() {
        let code = |error: anyhow::Error| code_of(&error).as_str();
        assert_eq!(code(EngineError::from(StoreError::InvalidCursor).into()), "invalid_cursor");
        assert_eq!(code(StoreError::Full.into()), "full");
        assert_eq!(code(MigrateError::from(EngineError::from(StoreError::Full)).into()), "full");
        assert_eq!(code(anyhow::Error::from(io::Error::other("no")).context("writing")), "io");
        assert_eq!(code(CliError::refused("no").into()), "refused");
        assert_eq!(code(anyhow::anyhow!("no")), "failed");
    }

    #[test]
    fn a_closed_stdout_is_recognised_wherever_it_shows() {
        let closed = || io::Error::new(io::ErrorKind::BrokenPipe, StdoutClosed(Exit::Failed));
        let exit = |error: anyhow::Error| StdoutClosed::of(&error).map(|closed| closed.0);
        assert_eq!(exit(Err::<(), _>(closed()).context("writing").unwrap_err()), Some(Exit::Failed));
        assert_eq!(exit(EngineError::Io { what: "export".into(), source: closed() }.into()), Some(Exit::Failed));
        assert_eq!(exit(anyhow::anyhow!("Broken pipe")), None);
        // Such as that of a connection.
        assert_eq!(exit(io::Error::from(io::ErrorKind::BrokenPipe).into()), None);
    }
}
