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
mod stop_signal;
mod tour;
mod update;

pub use bench::{TemporaryCollection, figures};

use crate::error::Exit;
use crate::output::Output;
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
    /// Whether nothing is left undone when the reader of the answer goes away.
    pub(crate) fn only_reads(&self) -> bool {
        if let Self::Keys(args) = self {
            return args.only_reads();
        }
        #[cfg(feature = "minilm")]
        if let Self::Models(args) = self {
            return args.only_reads();
        }
        !matches!(
            self,
            Self::Add(_)
                | Self::Update(_)
                | Self::Delete(_)
                | Self::Import(_)
                | Self::Export(_)
                | Self::Reembed(_)
                | Self::Smoke(_)
        )
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
        Command::Smoke(args) => smoke::run(args, out),
        Command::Tour(args) => tour::run(args, settings, out),
        Command::Bench(args) => bench::run(args, settings, out),
    }
}
