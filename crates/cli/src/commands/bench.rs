//! `mnemon bench`: how well it finds, and how fast, measured on this machine.

mod collection;
mod embed;
mod hashed_words;
mod locomo;
mod qdrant;
mod speech;
mod speed;

use std::path::PathBuf;

use mnemon_engine::Profile;

use crate::exit::Exit;
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
    Locomo(LocomoArgs),
    /// Rates and latencies over made-up conversations in a temporary store.
    Speed(SpeedArgs),
    /// Rates of the embedder alone, over made-up sentences: one at a time, then 32.
    Embed(EmbedArgs),
    /// Searches in Qdrant beside plain queries of the same collection, and adds.
    ///
    /// Makes the collection that --store names, which must not be there yet, and its entities; both go afterwards.
    Qdrant(QdrantArgs),
}

#[derive(Debug, clap::Args)]
struct LocomoArgs {
    /// Folder with a folder a conversation.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only this ranking; both, one after the other, if absent.
    #[arg(long, value_enum)]
    profile: Option<ProfileArg>,
    /// Leave out what the assistant said.
    #[arg(long)]
    user_only: bool,
    /// Forget order and sessions: every turn is a fact by itself.
    #[arg(long)]
    unordered: bool,
    /// Remember facts instead of turns: extracted by rules, or by the language model of the settings.
    #[arg(long, value_enum)]
    infer: Option<InferArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InferArg {
    Extractive,
    Llm,
}

#[derive(Debug, clap::Args)]
struct SpeedArgs {
    /// Memories of one user.
    #[arg(long, default_value_t = 100_000)]
    memories: usize,
    /// Users with 1,000 memories each beside that one.
    #[arg(long, default_value_t = 0)]
    others: usize,
    /// Questions asked.
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Keep the store at this file, which must not exist yet, instead of a temporary one.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct EmbedArgs {
    /// Sentences of 15 to 40 words, for each way.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    texts: u32,
}

#[derive(Debug, clap::Args)]
struct QdrantArgs {
    /// Memories of all users together.
    #[arg(long, default_value_t = 20_000)]
    points: usize,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u16).range(1..))]
    dims: u16,
    /// Users that share the memories; 1, then 20 if absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    users: Option<u16>,
    /// Questions asked.
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Threads that add at once, each for a user of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Leave the collections where they are.
    #[arg(long, requires = "users")]
    keep: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProfileArg {
    Fusion,
    Mem0,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Fusion => Self::Fusion,
            ProfileArg::Mem0 => Self::Mem0,
        }
    }
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

/// The value below which `share` of the sorted values lie; 0 for none.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

/// Rounded for reading.
fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
