//! `mnemon bench`: measures retrieval quality and speed on this machine.

pub mod figures;
mod locomo;
mod temporary_collection;

pub use temporary_collection::TemporaryCollection;

use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    measurement: Measurement,
}

#[derive(Debug, clap::Subcommand)]
enum Measurement {
    /// Measure recall of the evidence for questions about conversations
    ///
    /// DIR holds one folder per conversation, with turns.jsonl (id, session, position, time, speaker, text, caption) and
    /// questions.jsonl (question, category, evidence: ids of turns). The memories are added to a temporary store: a SQLite
    /// file, or, if --store names a collection in Qdrant, a temporary collection on that server.
    Locomo(locomo::LocomoArgs),
}

pub(crate) fn run(args: &BenchArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.measurement {
        Measurement::Locomo(args) => locomo::run(args, settings, out),
    }
}
