//! The binary of the measurements.

use clap::Parser;
use mnemon_bench::{compare, embed, qdrant, speed};
use mnemon_cli::{GlobalArgs, Output, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures mnemon on this machine.
///
/// Build it with --release. With --json, each result is one line of JSON, which `compare` reads.
#[derive(Debug, Parser)]
#[command(name = "mnemon-bench", arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Measure import and search: rates and latencies with generated conversations in a temporary store
    Speed(speed::SpeedArgs),
    /// Measure the embedder: rates with generated sentences, one at a time and 32 at a time
    Embed(embed::EmbedArgs),
    /// Measure search in Qdrant against plain Qdrant queries, and the rate of adds
    ///
    /// Creates the collection that --store names, which must not exist yet, and its entity collection; deletes both at the
    /// end.
    Qdrant(qdrant::QdrantArgs),
    /// Compare the results in two files
    Compare(compare::CompareArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let out = Output::new(cli.global.json);
    if let Command::Compare(args) = &cli.command {
        return compare::run(args, &out);
    }
    let settings = Settings::resolve(&cli.global, &[])?;
    match &cli.command {
        Command::Speed(args) => speed::run(args, &settings, &out),
        Command::Embed(args) => embed::run(args, &settings, &out),
        Command::Qdrant(args) => qdrant::run(args, &settings, &out),
        Command::Compare(args) => compare::run(args, &out),
    }
}
