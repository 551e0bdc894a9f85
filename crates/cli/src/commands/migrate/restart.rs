//! The command that restarts the server after a switch.

use std::process::Command;

use crate::output::Output;

/// Runs the command of `--then`; the error says how it failed.
pub(super) fn run_then(then: Option<&str>, out: &Output) -> Result<(), String> {
    let Some(then) = then else { return Ok(()) };
    out.note(&format!("running: {then}"));
    // Not to our stdout, which is for the answer and may be closed: that would end the command.
    let mut command = Command::new("sh");
    let status =
        command.args(["-c", then]).stdout(std::io::stderr()).status().map_err(|error| format!("`{then}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{then}` ended with {status}")) }
}
