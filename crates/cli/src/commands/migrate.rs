//! `mnemon migrate …`: the runbook from a mem0 stack to mem0 v2's pipeline, as commands.

mod backup;
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
    /// Fetch what a rollback needs, with proof that it is whole; or look whether a backup still is
    Backup(backup::BackupArgs),
    /// Do the whole migration on a copy: nothing that is in production is touched
    Rehearse(rehearse::RehearseArgs),
}

pub(crate) fn run(args: &MigrateArgs, _settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.phase {
        Phase::Backup(args) => backup::run(args, out),
        Phase::Rehearse(args) => rehearse::run(args, out),
    }
}
