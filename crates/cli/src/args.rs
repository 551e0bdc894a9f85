//! Arguments that many commands share.

use std::path::PathBuf;

/// Headings in the help; clap would otherwise list these options under the heading before them.
const GLOBAL: &str = "Global options";
const SCOPE: &str = "Scope";

/// The key of a setting, and the value that a flag gives it.
pub type SettingFlag<'f> = (&'static str, &'f str);

/// Options of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GlobalArgs {
    /// Store: sqlite:PATH or qdrant:http://HOST:6334/COLLECTION [env: MNEMON_STORE]
    /// [default: a file in your data directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "STORE")]
    pub store: Option<String>,
    /// Embedder: builtin, minilm, minilm:FOLDER, openai:MODEL or ollama:MODEL [env: MNEMON_EMBEDDER]
    /// [default: builtin]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "EMBEDDER")]
    pub embedder: Option<String>,
    /// Settings file [env: MNEMON_CONFIG] [default: ./mnemon.toml, else the one in your config directory]
    #[arg(help_heading = GLOBAL, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print results as JSON on stdout and errors as JSON on stderr
    #[arg(help_heading = GLOBAL, long, global = true)]
    pub json: bool,
    /// Increase log verbosity on stderr (-vv for debug)
    #[arg(help_heading = GLOBAL, short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl GlobalArgs {
    /// The settings among them that are given.
    pub(crate) fn settings(&self) -> impl Iterator<Item = SettingFlag<'_>> {
        let given = [("store", &self.store), ("embedder", &self.embedder)];
        given.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// The ids that own memories.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ScopeArgs {
    /// User id [env: MNEMON_USER]
    #[arg(help_heading = SCOPE, short, long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Agent id [env: MNEMON_AGENT]
    #[arg(help_heading = SCOPE, long, value_name = "ID")]
    pub(crate) agent: Option<String>,
    /// Run or conversation id [env: MNEMON_RUN]
    #[arg(help_heading = SCOPE, long, value_name = "ID")]
    pub(crate) run: Option<String>,
}
