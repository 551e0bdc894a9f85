//! `mnemon bench`: how well it finds, and how fast, measured on this machine.

mod embed;
mod figures;
mod hashed_words;
mod locomo;
mod qdrant;
mod speech;
mod speed;
mod temporary_collection;

pub use temporary_collection::TemporaryCollection;

use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Recall of evidence over conversations with questions.
    ///
    /// DIR holds a folder a conversation with turns.jsonl (id, session, position, time, speaker, text, caption) and
    /// questions.jsonl (question, category, evidence: ids of turns). Everything is remembered in a temporary store: in a
    /// collection beside the one that --store names, if that is in Qdrant.
    Locomo(locomo::LocomoArgs),
    /// Rates and latencies over made-up conversations in a temporary store.
    Speed(speed::SpeedArgs),
    /// Rates of the embedder alone, over made-up sentences: one at a time, then 32.
    Embed(embed::EmbedArgs),
    /// Searches in Qdrant beside plain queries of the same collection, and adds.
    ///
    /// Makes the collection that --store names, which must not be there yet, and its entities; both go afterwards.
    Qdrant(qdrant::QdrantArgs),
}

/// Measures and reports.
pub(crate) fn run(args: &BenchArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.what {
        What::Locomo(args) => locomo::run(args, settings, out),
        What::Speed(args) => speed::run(args, settings, out),
        What::Embed(args) => embed::run(args, settings, out),
        What::Qdrant(args) => qdrant::run(args, settings, out),
    }
}
