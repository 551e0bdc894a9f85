//! `mnemon migrate …`: the runbook from a mem0 stack to mem0 v2's pipeline, as commands.

mod rehearse;
mod report;

use crate::exit::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// A phase.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    phase: Phase,
}

#[derive(Debug, clap::Subcommand)]
enum Phase {
    /// Do the whole migration on a copy: nothing that is in production is touched
    Rehearse(rehearse::RehearseArgs),
}

pub(crate) fn run(args: &MigrateArgs, _settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.phase {
        Phase::Rehearse(args) => rehearse::run(args, out),
    }
}
