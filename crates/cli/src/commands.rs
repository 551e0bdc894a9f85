//! One file a verb; each runs with its arguments, the settings and the output.

mod add;
mod bench;
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
mod progress;
mod reembed;
mod search;
mod serve;
mod smoke;
mod stats;
mod tour;
mod update;

use crate::exit::Exit;
use crate::output::{OnClosed, Output};
use crate::settings::Settings;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Serve it over HTTP: the runbook's backend, mem0's server and its hosted platform in one
    Serve(serve::ServeArgs),
    /// Make, list and revoke the server's keys
    Keys(keys::KeysArgs),
    /// Remember what was said
    Add(add::AddArgs),
    /// Find the memories that answer a question
    Search(search::SearchArgs),
    /// List memories, newest first
    List(list::ListArgs),
    /// Show a memory with its entities and links
    Get(get::GetArgs),
    /// Change a memory's text, metadata or last day
    Update(update::UpdateArgs),
    /// Delete a memory, or all of somebody's
    Delete(delete::DeleteArgs),
    /// Show what happened to a memory, oldest first
    History(history::HistoryArgs),
    /// Count what is remembered
    Stats(stats::StatsArgs),
    /// Take in an export, points of a mem0 collection, mem0's history.db, chat or plain text
    Import(import::ImportArgs),
    /// Write everything as lines of JSON, which `import` takes in without loss
    Export(export::ExportArgs),
    /// Check the store, and with --fix mend it
    Doctor(doctor::DoctorArgs),
    /// Move the store to another embedder while it is in use
    Reembed(reembed::ReembedArgs),
    /// Leave a mem0 stack, phase by phase: rehearsed, verified, and nothing lost
    Migrate(migrate::MigrateArgs),
    /// Fetch embedding models that run on this machine, and list them
    #[cfg(feature = "minilm")]
    Models(models::ModelsArgs),
    /// Try a running server, ours or the one it replaces, and leave nothing behind
    Smoke(smoke::SmokeArgs),
    /// See what it does, on a small example
    Tour(tour::TourArgs),
    /// Measure how well it finds, and how fast
    Bench(bench::BenchArgs),
}

impl Command {
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
        Command::Doctor(args) => doctor::run(args, settings, out),
        Command::Reembed(args) => reembed::run(args, settings, out),
        Command::Migrate(args) => migrate::run(args, settings, out),
        #[cfg(feature = "minilm")]
        Command::Models(args) => models::run(args, settings, out),
        Command::Smoke(args) => smoke::run(args, settings, out),
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
                "serve",
                "smoke --url http://localhost",
                "bench speed",
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
        let readers = ["search x", "list", "get 7", "history 7", "stats", "keys list", "serve --openapi", "tour"];
        check(&readers, OnClosed::Stop(Exit::Ok));
        check(&["migrate status"], OnClosed::Stop(Exit::Ok));
    }
}
