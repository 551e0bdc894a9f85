//! Errors of the command line: exit codes, error codes and messages.

use std::fmt;
use std::io;
use std::process::ExitCode;

use mnemon_engine::EngineError;
use mnemon_migrate::MigrateError;
use mnemon_models::{ModelError, ModelKind};
use mnemon_store::StoreError;
use serde_json::{Value, json};

/// The exit codes of every command. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did its work.
    Ok = 0,
    /// The command failed, or did only a part of its work.
    Failed = 1,
    /// The arguments or settings are wrong; the message says what to change.
    Usage = 2,
    /// A check or comparison found problems.
    Differences = 3,
    /// The command was refused because it could destroy data.
    Refused = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error of the command line itself.
#[derive(Debug)]
pub(crate) struct CliError {
    exit: Exit,
    code: &'static str,
    message: String,
}

impl CliError {
    /// Wrong arguments or settings.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "usage", message: message.into() }
    }

    /// A refusal, because the command could destroy data.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, code: "refused", message: message.into() }
    }

    /// A failure with this code.
    pub(crate) fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code, message: message.into() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// What is reported of an error: the exit code, the error code, and a message in one line.
pub(crate) struct ErrorReport {
    pub(crate) exit: Exit,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ErrorReport {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let (exit, code) = classify(error);
        Self { exit, code, message: one_line(error) }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"code": self.code, "message": self.message}})
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
    /// The mark in an error that comes from a closed stdout. A broken pipe of anything else is an error like any other.
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

fn classify(error: &anyhow::Error) -> (Exit, &'static str) {
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<CliError>() {
            return (fault.exit, fault.code);
        }
        if let Some(error) = cause.downcast_ref::<EngineError>() {
            let exit = if error.is_callers_error() { Exit::Usage } else { Exit::Failed };
            return (exit, engine_code(error));
        }
        if let Some(error) = cause.downcast_ref::<MigrateError>() {
            return classify_migrate(error);
        }
        // Met only where a store is opened: a request goes through the engine.
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return (Exit::Failed, store_code(error));
        }
        if cause.is::<io::Error>() {
            return (Exit::Failed, "io");
        }
    }
    (Exit::Failed, "failed")
}

fn classify_migrate(error: &MigrateError) -> (Exit, &'static str) {
    match error {
        MigrateError::Refused(_) | MigrateError::Busy(_) => (Exit::Refused, "refused"),
        MigrateError::Snapshot { .. } => (Exit::Failed, "not_a_snapshot"),
        MigrateError::Server { .. } => (Exit::Failed, "unavailable"),
        MigrateError::NoSpace { .. } => (Exit::Failed, "full"),
        MigrateError::Checksum { .. } => (Exit::Failed, "checksum"),
        MigrateError::History { .. } => (Exit::Failed, "history"),
        MigrateError::Unfit(_) => (Exit::Failed, "unfit"),
        MigrateError::Switch(_) => (Exit::Failed, "switch"),
        MigrateError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => (Exit::Failed, "full"),
        MigrateError::Io { .. } => (Exit::Failed, "io"),
        MigrateError::Store(error) => (Exit::Failed, store_code(error)),
        MigrateError::Engine(error) => (Exit::Failed, engine_code(error)),
        _ => (Exit::Failed, "failed"),
    }
}

fn engine_code(error: &EngineError) -> &'static str {
    match error {
        EngineError::Invalid(_) => "invalid_request",
        EngineError::Store(error) => store_code(error),
        EngineError::Model(error) => model_code(error),
        EngineError::Io { .. } => "io",
        EngineError::Unsteady { .. } => "embedder_unsteady",
        _ => "failed",
    }
}

fn model_code(error: &ModelError) -> &'static str {
    match error {
        ModelError::Unavailable { kind: ModelKind::LanguageModel, .. } => "llm_unavailable",
        ModelError::Refused { kind: ModelKind::LanguageModel, .. } => "llm_refused",
        ModelError::Answer { kind: ModelKind::LanguageModel, .. } => "llm_answer",
        ModelError::Settings(_) => "embedder_settings",
        ModelError::Unavailable { .. } => "embedder_unavailable",
        ModelError::Refused { .. } => "embedder_refused",
        ModelError::Answer { .. } => "embedder_answer",
        ModelError::Dims { .. } => "embedder_dims",
        _ => "model",
    }
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Io { .. } => "io",
        StoreError::NotAStore { .. } => "not_a_store",
        StoreError::NotALedger { .. } => "not_a_ledger",
        StoreError::Damaged { .. } => "damaged",
        StoreError::NewerSchema { .. } => "newer_schema",
        StoreError::EmbedderMismatch { .. } => "embedder_mismatch",
        StoreError::Reembedding { .. } | StoreError::Stalled(_) => "reembedding",
        StoreError::Full => "full",
        StoreError::Busy => "busy",
        StoreError::Conflict => "conflict",
        StoreError::Exists(_) => "exists",
        StoreError::NotFound(_) => "not_found",
        StoreError::InvalidId(_) => "invalid_id",
        StoreError::InvalidScope(_) => "invalid_scope",
        StoreError::Filter(_) => "invalid_filter",
        StoreError::InvalidCursor => "invalid_cursor",
        StoreError::Dims { .. } => "dims",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Database(_) => "database",
        StoreError::Unavailable { .. } => "unavailable",
        StoreError::OutcomeUnknown { .. } => "outcome_unknown",
        StoreError::Unfit(_) => "unfit",
        StoreError::Unsupported(_) => "unsupported",
        _ => "failed",
    }
}

/// The error and its causes in one line. A cause whose text is already in the line is left out.
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
    line
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
        assert_eq!((report.exit, report.code), (Exit::Failed, "io"));
    }

    #[test]
    fn the_kind_of_error_decides_exit_and_code() {
        let wrong: anyhow::Error = EngineError::from(StoreError::InvalidCursor).into();
        assert_eq!(classify(&wrong), (Exit::Usage, "invalid_cursor"));
        let full: anyhow::Error = EngineError::from(StoreError::Full).into();
        assert_eq!(classify(&full), (Exit::Failed, "full"));
        let unavailable = ModelError::Unavailable {
            kind: ModelKind::Embedder,
            server: "http://localhost:1/v1".into(),
            reason: "no".into(),
            wait: None,
        };
        assert_eq!(classify(&EngineError::from(unavailable).into()), (Exit::Failed, "embedder_unavailable"));
        assert_eq!(classify(&CliError::refused("no").into()), (Exit::Refused, "refused"));
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
