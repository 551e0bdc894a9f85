//! One module per command. Each runs with its arguments, the settings and the output.

mod add;
mod bench;
mod confirm;
mod delete;
mod doctor;
mod export;
mod get;
mod history;
mod import;
mod input;
mod keys;
mod list;
mod migrate;
#[cfg(feature = "minilm")]
mod models;
mod parked;
mod progress;
mod reembed;
mod search;
mod serve;
mod smoke;
mod stats;
mod stop_signal;
mod store_files;
mod tour;
mod update;

pub use bench::{TemporaryCollection, figures};

use crate::args::SettingFlag;
use crate::error::Exit;
use crate::output::{OnClosed, Output};
use crate::settings::Settings;

/// The command to run.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Serve the HTTP API: mem0's server, mem0's hosted platform, OpenAI chat, and the legacy Python backend
    Serve(serve::ServeArgs),
    /// Create, list and revoke API keys of the server
    Keys(keys::KeysArgs),
    /// Add memories
    Add(add::AddArgs),
    /// Find the memories that are relevant to a query
    Search(search::SearchArgs),
    /// List memories, newest first
    List(list::ListArgs),
    /// Show a memory with its entities and links
    Get(get::GetArgs),
    /// Change a memory's text, metadata or expiration date
    Update(update::UpdateArgs),
    /// Delete a memory, or all memories of a scope
    Delete(delete::DeleteArgs),
    /// Show the history of a memory, oldest event first
    History(history::HistoryArgs),
    /// Show statistics of a scope or of the whole store
    Stats(stats::StatsArgs),
    /// Import an export, points of a mem0 collection, mem0's history.db, chat messages or plain text
    Import(import::ImportArgs),
    /// Export the store as JSON lines, which `import` restores without loss
    Export(export::ExportArgs),
    /// List requests from which nothing could be learnt; try them again, edit or drop them
    Parked(parked::ParkedArgs),
    /// Check the store, and repair it with --fix
    Doctor(doctor::DoctorArgs),
    /// Move the store to another embedder while it is in use
    Reembed(reembed::ReembedArgs),
    /// Migrate from a mem0 deployment, phase by phase
    Migrate(migrate::MigrateArgs),
    /// Download and list embedding models that run on this machine
    #[cfg(feature = "minilm")]
    Models(models::ModelsArgs),
    /// Run an end-to-end check against a server (mnemon or mem0) and delete its test data
    Smoke(smoke::SmokeArgs),
    /// Show the main features with a small example
    Tour(tour::TourArgs),
    /// Measure retrieval quality on this machine
    Bench(bench::BenchArgs),
}

impl Command {
    /// The settings among its arguments that are given.
    pub(crate) fn settings(&self) -> Vec<SettingFlag<'_>> {
        match self {
            Self::Serve(args) => args.settings(),
            _ => Vec::new(),
        }
    }

    /// What a closed stdout does to it. Work that writes always goes on to its end, and so does work whose exit code is a
    /// verdict. What only reads may end at once; where stdout is the product, a cut is a failure.
    pub(crate) fn on_closed_stdout(&self) -> OnClosed {
        match self {
            Self::Search(_) | Self::List(_) | Self::Get(_) | Self::History(_) | Self::Stats(_) | Self::Tour(_) => {
                OnClosed::Stop(Exit::Ok)
            }
            Self::Add(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::Import(_)
            | Self::Reembed(_)
            | Self::Smoke(_)
            | Self::Bench(_) => OnClosed::GoOn,
            Self::Serve(args) => args.on_closed_stdout(),
            Self::Keys(args) => args.on_closed_stdout(),
            Self::Export(args) => args.on_closed_stdout(),
            Self::Parked(args) => args.on_closed_stdout(),
            Self::Doctor(args) => args.on_closed_stdout(),
            Self::Migrate(args) => args.on_closed_stdout(),
            #[cfg(feature = "minilm")]
            Self::Models(args) => args.on_closed_stdout(),
        }
    }
}

/// Runs a command.
pub(crate) fn run(command: &Command, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match command {
        Command::Serve(args) => serve::run(args, settings, out),
        Command::Keys(args) => keys::run(args, settings, out),
        Command::Add(args) => add::run(args, settings, out),
        Command::Search(args) => search::run(args, settings, out),
        Command::List(args) => list::run(args, settings, out),
        Command::Get(args) => get::run(args, settings, out),
        Command::Update(args) => update::run(args, settings, out),
        Command::Delete(args) => delete::run(args, settings, out),
        Command::History(args) => history::run(args, settings, out),
        Command::Stats(args) => stats::run(args, settings, out),
        Command::Import(args) => import::run(args, settings, out),
        Command::Export(args) => export::run(args, settings, out),
        Command::Parked(args) => parked::run(args, settings, out),
        Command::Doctor(args) => doctor::run(args, settings, out),
        Command::Reembed(args) => reembed::run(args, settings, out),
        Command::Migrate(args) => migrate::run(args, settings, out),
        #[cfg(feature = "minilm")]
        Command::Models(args) => models::run(args, settings, out),
        Command::Smoke(args) => smoke::run(args, out),
        Command::Tour(args) => tour::run(args, settings, out),
        Command::Bench(args) => bench::run(args, settings, out),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_closed_stdout_never_ends_work_that_writes() {
        let check = |calls: &[&str], expected: OnClosed| {
            for call in calls {
                let cli = Cli::try_parse_from(format!("mnemon {call}").split(' ')).unwrap();
                assert_eq!(cli.command.on_closed_stdout(), expected, "{call}");
            }
        };
        check(
            &[
                "add x",
                "add --stdin",
                "update 7 x",
                "delete 7",
                "import a.jsonl",
                "export a.jsonl",
                "reembed --to builtin",
                "doctor --fix",
                "keys revoke 7",
                "parked retry 7",
                "parked retry --all",
                "parked edit 7 --messages f",
                "parked drop 7",
                "serve",
                "smoke --url http://localhost",
                "bench locomo --data d",
                "migrate preflight",
                "migrate backup",
                "migrate rehearse",
                "migrate rebuild",
                "migrate verify",
                "migrate cutover --alias a --no-smoke",
                "migrate rollback",
                "migrate retire",
                "migrate run",
            ],
            OnClosed::GoOn,
        );
        #[cfg(feature = "minilm")]
        check(&["models pull minilm"], OnClosed::GoOn);
        check(&["export", "doctor", "keys create --admin"], OnClosed::Stop(Exit::Failed));
        #[cfg(feature = "minilm")]
        check(&["models list"], OnClosed::Stop(Exit::Ok));
        let readers =
            ["search x", "list", "get 7", "history 7", "stats", "keys list", "parked list", "serve --openapi", "tour"];
        check(&readers, OnClosed::Stop(Exit::Ok));
        check(&["migrate status"], OnClosed::Stop(Exit::Ok));
    }
}
