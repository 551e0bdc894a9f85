//! `mnemon migrate …`: the move from a mem0 0.1 or 1.x deployment to mnemon, one command per phase.

mod backup;
mod context;
mod cutover;
mod legacy_counts;
mod part_args;
mod preflight;
mod rebuild;
mod rehearse;
mod report;
mod restart;
mod retire;
mod rollback;
mod route_args;
mod run;
mod start;
mod status;
mod switch_args;
mod verify;

use crate::error::Exit;
use crate::output::{OnClosed, Output};
use crate::settings::Settings;

/// Which phase to run.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    phase: Phase,
}

#[derive(Debug, clap::Subcommand)]
enum Phase {
    /// Inspect the source: memories per user, anomalies, obstacles; records the counts
    Preflight(preflight::PreflightArgs),
    /// Back up what a rollback needs, with checksums; or verify an existing backup
    Backup(backup::BackupArgs),
    /// Run the whole migration on a copy, without touching production data
    Rehearse(rehearse::RehearseArgs),
    /// Copy all memories to the target with lemmas, sparse vectors and entities; repeat to copy later writes
    Rebuild(rebuild::RebuildArgs),
    /// Compare source and target: ids, vectors, payloads, sparse vectors, counts per user
    Verify(verify::VerifyArgs),
    /// Copy the last writes, switch the server to the target and test it; switch back if the test fails
    Cutover(cutover::CutoverArgs),
    /// Switch back to the source, with the writes made since the cutover
    Rollback(rollback::RollbackArgs),
    /// Delete the old collection and the backup after the retention date
    Retire(retire::RetireArgs),
    /// Run all phases from preflight to verify; cutover is a separate command
    Run(run::RunArgs),
    /// Show the state of the migration and the next command
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
