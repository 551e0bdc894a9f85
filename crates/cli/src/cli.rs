//! Parses the command line and runs the command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::Parser;
use clap::error::ErrorKind;
use mnemon_engine::ErrorCode;
use tracing_subscriber::EnvFilter;

use crate::args::GlobalArgs;
use crate::commands::{self, Command};
use crate::error::{CliError, ErrorReport, Exit, StdoutClosed};
use crate::output::{Output, lost_output};
use crate::settings::Settings;

/// Long-term memory for AI agents: stores conversations and facts, and finds the relevant ones
///
/// Memories are kept in one local file or in Qdrant. `mnemon tour` shows the main features in a minute.
#[derive(Debug, Parser)]
#[command(name = "mnemon", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Runs the command in the process's arguments.
pub fn main() -> Exit {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return report_parse_error(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    let out = Output::new(cli.global.json).on_closed(cli.command.on_closed_stdout());
    // Every HTTP client uses the process's default crypto provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let run = || {
        let settings = Settings::resolve(&cli.global, &cli.command.settings())?;
        log_to_stderr(&cli, &settings);
        if let Some(warning) = &settings.warning {
            tracing::warn!("{warning}");
        }
        tracing::debug!(?settings, "settings");
        commands::run(&cli.command, &settings, &out)
    };
    match run() {
        Ok(exit) => match lost_output() {
            // A server is not run for its output.
            Some(reason) if !matches!(cli.command, Command::Serve(_)) => {
                let message = format!("the work is done, but its result can't be written to stdout: {reason}");
                out.error(&ErrorReport { code: ErrorCode::Io, message });
                if exit == Exit::Ok { Exit::Failed } else { exit }
            }
            _ => exit,
        },
        Err(error) => {
            tracing::debug!(?error, "command failed");
            if let Some(StdoutClosed(exit)) = StdoutClosed::of(&error) {
                return exit;
            }
            let report = ErrorReport::of(&error);
            out.error(&report);
            report.code.exit()
        }
    }
}

/// Prints help or the version, or says what is wrong with the arguments.
fn report_parse_error(error: &clap::Error, json: bool) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
            _ => Exit::Ok,
        };
    }
    if json {
        let text = error.render().to_string();
        let text = text.trim_start_matches("error: ");
        let text = text.split("\n\nFor more information").next().unwrap_or(text);
        Output::new(true).error(&ErrorReport::of(&CliError::usage(text).into()));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

fn log_to_stderr(cli: &Cli, settings: &Settings) {
    let serving = matches!(cli.command, Command::Serve(_));
    let verbose = usize::from(cli.global.verbose) + usize::from(serving);
    let level = ["warn", "info", "debug"].get(verbose).unwrap_or(&"trace");
    let default = || format!("{level},qdrant_edge=error");
    let filter = EnvFilter::new(settings.log_filter.clone().unwrap_or_else(default));
    let ansi = io::stderr().is_terminal();
    // A line that can't be written is lost. Reporting that on stderr, where it could not be written, would panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr);
    if serving && settings.server.log_json { log.json().flatten_event(true).init() } else { log.init() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_argument_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
