//! Arguments that many commands share.

use std::path::PathBuf;

/// Headings in the help; without them options of a verb would fall under whatever stands before.
const GLOBAL: &str = "Global options";
const WHOSE: &str = "Whose memories";

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GlobalArgs {
    /// Where memories are kept: sqlite:PATH or qdrant:http://HOST:6334/COLLECTION [env: MNEMON_STORE]
    /// [default: a file in your data directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "STORE")]
    pub store: Option<String>,
    /// What makes vectors: builtin, minilm, minilm:FOLDER, openai:MODEL or ollama:MODEL [env: MNEMON_EMBEDDER]
    /// [default: builtin]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "EMBEDDER")]
    pub embedder: Option<String>,
    /// Settings file [env: MNEMON_CONFIG] [default: ./mnemon.toml, else the one in your config directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on stdout; errors are JSON on stderr
    #[arg(help_heading = GLOBAL, long, global = true)]
    pub json: bool,
    /// Log to stderr what is done; twice for more
    #[arg(help_heading = GLOBAL, short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
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
