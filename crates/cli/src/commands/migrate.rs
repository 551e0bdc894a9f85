//! `mnemon migrate …`: the runbook from a mem0 stack to mem0 v2's pipeline, as commands.

mod backup;
mod cutover;
mod forward;
mod legacy;
mod rehearse;
mod report;
mod retire;
mod run;
mod stack;
mod status;

use crate::exit::Exit;
use crate::output::{OnClosed, Output};
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
    Preflight(forward::PreflightArgs),
    /// Fetch what a rollback needs, with proof that it is whole; or look whether a backup still is
    Backup(backup::BackupArgs),
    /// Do the whole migration on a copy: nothing that is in production is touched
    Rehearse(rehearse::RehearseArgs),
    /// Carry everything over, with lemmas, sparse vectors and entities; again to catch what was written meanwhile
    Rebuild(forward::RebuildArgs),
    /// Compare every point: id, vector bit by bit, payload key by key, sparse vector, counts by user
    Verify(forward::VerifyArgs),
    /// Carry over the last writes, switch to the new store, try it; switched back if that fails
    Cutover(cutover::CutoverArgs),
    /// Switch back, with the writes that were made since
    Rollback(cutover::RollbackArgs),
    /// Delete the old collection and the backup, once their retention date is past
    Retire(retire::RetireArgs),
    /// Preflight to verify in one go; the switch is left to cutover
    Run(run::RunArgs),
    /// Show where the migration stands, and the next command
    Status(status::StatusArgs),
}

impl MigrateArgs {
    /// What a closed stdout does to it. A dry run changes nothing, but its exit code says whether something is in the way.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        match self.phase {
            Phase::Status(_) => OnClosed::Stop(Exit::Ok),
            Phase::Preflight(_)
            | Phase::Backup(_)
            | Phase::Rehearse(_)
            | Phase::Rebuild(_)
            | Phase::Verify(_)
            | Phase::Cutover(_)
            | Phase::Rollback(_)
            | Phase::Retire(_)
            | Phase::Run(_) => OnClosed::GoOn,
        }
    }
}

pub(crate) fn run(args: &MigrateArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match &args.phase {
        Phase::Preflight(args) => forward::preflight(args, settings, out),
        Phase::Backup(args) => backup::run(args, settings, out),
        Phase::Rehearse(args) => rehearse::run(args, settings, out),
        Phase::Rebuild(args) => forward::rebuild(args, settings, out),
        Phase::Verify(args) => forward::verify(args, settings, out),
        Phase::Cutover(args) => cutover::cutover(args, settings, out),
        Phase::Rollback(args) => cutover::rollback(args, settings, out),
        Phase::Retire(args) => retire::run(args, settings, out),
        Phase::Run(args) => run::run(args, settings, out),
        Phase::Status(args) => status::run(args, out),
    }
}
