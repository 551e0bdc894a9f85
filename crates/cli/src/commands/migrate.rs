//! `mnemon migrate …`: the runbook from a mem0 stack to mem0 v2's pipeline, as commands.

mod backup;
mod context;
mod cutover;
mod legacy_counts;
mod preflight;
mod rebuild;
mod rehearse;
mod report;
mod restart;
mod retire;
mod rollback;
mod route_args;
mod run;
mod status;
mod switch_args;
mod verify;

use crate::error::Exit;
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
    /// Look at what is there: counts by user, oddities, what stands in the way; writes the plan
    Preflight(preflight::PreflightArgs),
    /// Fetch what a rollback needs, with proof that it is whole; or look whether a backup still is
    Backup(backup::BackupArgs),
    /// Do the whole migration on a copy: nothing that is in production is touched
    Rehearse(rehearse::RehearseArgs),
    /// Carry everything over, with lemmas, sparse vectors and entities; again to catch what was written meanwhile
    Rebuild(rebuild::RebuildArgs),
    /// Compare every point: id, vector bit by bit, payload key by key, sparse vector, counts by user
    Verify(verify::VerifyArgs),
    /// Carry over the last writes, switch to the new store, try it; switched back if that fails
    Cutover(cutover::CutoverArgs),
    /// Switch back, with the writes that were made since
    Rollback(rollback::RollbackArgs),
    /// Delete the old collection and the backup, once their retention date is past
    Retire(retire::RetireArgs),
    /// Preflight to verify in one go; the switch is left to cutover
    Run(run::RunArgs),
    /// Show where the migration stands, and the next command
    Status(status::StatusArgs),
}

pub(crate) fn run(args: &MigrateArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.phase {
        Phase::Preflight(args) => preflight::run(args, settings, out),
        Phase::Backup(args) => backup::run(args, settings, out),
        Phase::Rehearse(args) => rehearse::run(args, settings, out),
        Phase::Rebuild(args) => rebuild::run(args, settings, out),
        Phase::Verify(args) => verify::run(args, settings, out),
        Phase::Cutover(args) => cutover::run(args, settings, out),
        Phase::Rollback(args) => rollback::run(args, settings, out),
        Phase::Retire(args) => retire::run(args, settings, out),
        Phase::Run(args) => run::run(args, settings, out),
        Phase::Status(args) => status::run(args, out),
    }
}
