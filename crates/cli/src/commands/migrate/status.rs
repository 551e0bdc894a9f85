//! `mnemon migrate status`: the state of a migration, and the next command.

use std::fmt::Write;
use std::path::PathBuf;

use mnemon_engine::ErrorCode;
use mnemon_migrate::{Migration, MigrationState, PartState, Phase};
use serde_json::json;

use super::report::WITHOUT_ENTITIES;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Which migration to show.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Folder of the migration
    #[arg(long, value_name = "DIR", env = "MNEMON_MIGRATION", default_value = "mnemon-migration")]
    dir: PathBuf,
}

const PHASES: [Phase; 8] = [
    Phase::Preflight,
    Phase::Backup,
    Phase::Rehearse,
    Phase::Rebuild,
    Phase::Verify,
    Phase::Cutover,
    Phase::Rollback,
    Phase::Retire,
];

pub(super) fn run(args: &StatusArgs, out: &Output) -> anyhow::Result<Exit> {
    let Some(state) = Migration::read(&args.dir)? else {
        let message = format!(
            "{} has no migration: start with `mnemon migrate preflight --source NAME --target NAME`",
            args.dir.display()
        );
        return Err(CliError::failed(ErrorCode::NoMigration, message).into());
    };
    let next = next_command(&state);
    let value = json!({
        "route": state.route.as_ref().map(ToString::to_string),
        "phases": state.ended,
        "switched": state.switched,
        "switch": state.switch.as_ref().map(|switch| switch.describe()),
        "retention_until": state.backup.as_ref().map(|(_, until)| until.to_string()),
        "history": state.history,
        "without_entities": state.without_entities,
        "next": next,
    });
    out.value(&value, |_| to_text(&state, next))?;
    Ok(Exit::Ok)
}

/// The command to run next.
fn next_command(state: &MigrationState) -> &'static str {
    let done = |phase: Phase| state.is_done(phase);
    if done(Phase::Retire) {
        "nothing: the old collection was deleted"
    } else if state.switched && state.snapshot().is_some() {
        "nothing more is needed; mnemon migrate rollback is possible"
    } else if state.switched {
        "mnemon migrate retire (after the retention date), or mnemon migrate rollback"
    } else if !done(Phase::Preflight) {
        "mnemon migrate preflight"
    } else if !done(Phase::Backup) && state.snapshot().is_none() {
        "mnemon migrate backup"
    } else if !done(Phase::Rebuild) {
        "mnemon migrate rebuild"
    } else if state.switch.is_some() {
        "mnemon migrate cutover again (it was interrupted), or mnemon migrate rollback"
    } else if !state.is_verified() {
        "mnemon migrate verify"
    } else {
        "mnemon migrate cutover"
    }
}

fn to_text(state: &MigrationState, next: &str) -> String {
    let mut text = String::new();
    if let Some(route) = &state.route {
        let _ = writeln!(text, "{route}\n");
    }
    for phase in PHASES {
        let (mark, summary) = match state.ended.get(&phase) {
            Some(ended) => {
                let mark = match (ended.ok, phase.parts().is_empty() || !ended.parts.is_empty()) {
                    (false, _) => "NOT OK",
                    (true, true) => "done",
                    // By an older version, which did not record whether it was whole.
                    (true, false) => "?",
                };
                (mark, format!("{}  {}", ended.at.strftime("%F %T"), ended.summary))
            }
            None => ("-", String::new()),
        };
        let _ = writeln!(text, "{:<10} {mark:<7} {summary}", phase.as_str());
        let parts = state.ended.get(&phase).into_iter().flat_map(|ended| &ended.parts);
        for (part, result) in parts.filter(|(_, result)| result.state != PartState::Done) {
            let state = match result.state {
                PartState::Done => "done",
                PartState::Pending => "not done",
                PartState::Failed => "NOT OK",
                PartState::LeftOut => "left out",
            };
            let detail = if result.detail.is_empty() { String::new() } else { format!(": {}", result.detail) };
            let _ = writeln!(text, "  {}: {state}{detail}", part.as_str());
        }
    }
    let served = match (state.switched, &state.switch) {
        (true, _) => "the new store",
        (false, None) => "the old store",
        (false, Some(_)) => "possibly the new store: a cutover was interrupted",
    };
    let _ = writeln!(text, "\nserved: {served}");
    if let Some((_, until)) = &state.backup {
        let _ = writeln!(text, "backup kept until {until}");
    }
    if state.without_entities {
        let _ = writeln!(text, "{WITHOUT_ENTITIES}");
    }
    let _ = writeln!(text, "next: {next}");
    text
}
