//! The command line: what can be typed, and what is common to every command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::commands::{self, Command};
use crate::exit::{Exit, Fault, Report, StdoutClosed};
use crate::output::{OnClosed, Output};
use crate::settings::Settings;

/// Long-term memory for AI agents: remembers what was said, and finds it again.
///
/// Everything is kept in one local file, or in Qdrant where one machine is outgrown. `mnemon tour` shows what it does in a minute.
#[derive(Debug, Parser)]
#[command(name = "mnemon", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Headings in the help; without them options of a verb would fall under whatever stands before.
const GLOBAL: &str = "Global options";
const WHOSE: &str = "Whose memories";

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct GlobalArgs {
    /// Where memories are kept: sqlite:PATH or qdrant:http://HOST:6334/COLLECTION [env: MNEMON_STORE]
    /// [default: a file in your data directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// What makes vectors: builtin, minilm, minilm:FOLDER, openai:MODEL or ollama:MODEL [env: MNEMON_EMBEDDER]
    /// [default: builtin]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "EMBEDDER")]
    pub(crate) embedder: Option<String>,
    /// Settings file [env: MNEMON_CONFIG] [default: ./mnemon.toml, else the one in your config directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Answer in JSON on stdout; errors are JSON on stderr
    #[arg(help_heading = GLOBAL, long, global = true)]
    pub(crate) json: bool,
    /// Log to stderr what is done; twice for more
    #[arg(help_heading = GLOBAL, short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Whose memories.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ScopeArgs {
    /// The person [env: MNEMON_USER]
    #[arg(help_heading = WHOSE, short, long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// The agent [env: MNEMON_AGENT]
    #[arg(help_heading = WHOSE, long, value_name = "ID")]
    pub(crate) agent: Option<String>,
    /// The run or conversation [env: MNEMON_RUN]
    #[arg(help_heading = WHOSE, long, value_name = "ID")]
    pub(crate) run: Option<String>,
}

/// Runs the command that was typed.
pub(crate) fn main() -> Exit {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, words.iter().any(|word| word == "--json")),
    };
    let out = Output::new(cli.global.json, cli.command.on_closed_stdout());
    // Every client of HTTP takes the one that the process installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let run = || {
        let settings = Settings::resolve(&cli.global)?;
        log_to_stderr(&cli, &settings);
        tracing::debug!(?settings, "settings");
        commands::run(&cli.command, &settings, &out)
    };
    match run() {
        Ok(exit) => exit,
        Err(error) => {
            tracing::debug!(?error, "failed");
            if let Some(StdoutClosed(exit)) = StdoutClosed::of(&error) {
                return exit;
            }
            let report = Report::of(&error);
            out.error(&report);
            report.exit
        }
    }
}

/// Help and version are no errors; a wrong call says what is right.
fn refuse(error: &clap::Error, json: bool) -> Exit {
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
        Output::new(true, OnClosed::GoOn).error(&Report::of(&Fault::usage(text).into()));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

fn log_to_stderr(cli: &Cli, settings: &Settings) {
    let serving = matches!(cli.command, Command::Serve(_));
    let verbose = usize::from(cli.global.verbose) + usize::from(serving);
    let level = ["warn", "info", "debug"].get(verbose).unwrap_or(&"trace");
    let filter =
        EnvFilter::try_from_env("MNEMON_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},qdrant_edge=error")));
    let ansi = io::stderr().is_terminal();
    // A line that can't be written is lost. Reporting that on stderr, where it could not be written, would panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr);
    if serving && settings.server().log_json { log.json().flatten_event(true).init() } else { log.init() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_fit_together() {
        Cli::command().debug_assert();
    }
}
