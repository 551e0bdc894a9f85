//! A question on the terminal before data is deleted or changed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::CliError;
use mnemon_engine::ErrorCode;

/// Asks on stderr and reads the answer from stdin.
///
/// # Errors
/// A refusal with the message `declined` for any answer but yes, and with `no_terminal` if stdin is not a terminal.
pub(super) fn confirm(question: &str, declined: String, no_terminal: String) -> Result<(), CliError> {
    let io = |error: io::Error| CliError::failed(ErrorCode::Io, error.to_string());
    if !io::stdin().is_terminal() {
        return Err(CliError::refused(no_terminal));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(io)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(io)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::refused(declined)),
    }
}
