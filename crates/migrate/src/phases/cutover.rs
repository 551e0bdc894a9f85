//! Cutover: copies the last writes, switches traffic to the new store and checks it.

use super::embedder::entity_embedder;
use super::history::{check_history, import_history};
use super::rebuild::Copy;
use super::rollback::sync_back;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Refusal, Result};
use crate::progress::Progress;
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};
use crate::switch::Switch;
use crate::sync::SyncReport;

/// How the server is restarted and checked. Both functions return the reason of a failure.
pub struct ServerHooks<'s> {
    /// Makes the server read the switched setting.
    pub restart: &'s dyn Fn() -> Result<(), String>,
    /// Checks the server.
    pub smoke: &'s dyn Fn() -> Result<(), String>,
}

impl std::fmt::Debug for ServerHooks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHooks").finish_non_exhaustive()
    }
}

/// What a cutover did.
#[derive(Clone, Debug, Default)]
pub struct CutoverReport {
    /// The last sync pass before the switch.
    pub last: SyncReport,
    /// The sync pass after the switch, which copies the writes that the old store received during the switch.
    pub late: SyncReport,
    /// The rows of the history that were written since the rebuild; `None` if the history was not asked for.
    pub late_history: Option<usize>,
    /// Whether the new store has no entities.
    pub without_entities: bool,
    /// The setting that was switched, for messages.
    pub switch: String,
    /// Whether the switch was complete before and nothing had to be done.
    pub already: bool,
}

/// Copies the last writes, switches to the new store and checks the server; if the check fails, switches back.
///
/// # Errors
/// [`MigrateError::Refused`] without a successful verify; [`MigrateError::SwitchFailed`] if the server failed and the setting
/// was switched back; [`MigrateError::Store`] if the source or the target fails.
pub fn cutover(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    switch: Switch,
    server: &ServerHooks<'_>,
    progress: &Progress<'_>,
) -> Result<CutoverReport> {
    let route = migration.route()?.clone();
    // A switch that was started knows the old value of the setting. `switch` may hold the new value as the old one.
    let started = migration.state.switch.clone();
    if let Some(started) = started.as_ref().filter(|started| !started.is_same_setting(&switch)) {
        return Err(Refusal::OtherCutover(started.describe()).into());
    }
    if let (true, Some(switch)) = (migration.state.switched, &migration.state.switch) {
        return Ok(CutoverReport { switch: switch.describe(), already: true, ..CutoverReport::default() });
    }
    if migration.state.without_entities && !context.without_entities {
        return Err(Refusal::WithoutEntities.into());
    }
    let source = route.source(context)?;
    let dims = source.info().dims;
    let embedder = if context.without_entities { None } else { entity_embedder(migration, context, &*source)? };
    if !migration.state.is_verified() {
        return Err(Refusal::NotVerified.into());
    }
    let is_first_try = started.is_none();
    let switch = started.unwrap_or(switch);
    let rest = route.rest(context)?;
    switch.check(rest.as_ref())?;
    let target = route.target(context, dims)?;
    let copy = Copy { source: &*source, target: &*target, carried: migration.carried_points()?, context, embedder };
    if let Some(history) = &migration.state.history {
        check_history(history, context, &copy.carried)?;
    }
    let without_entities = embedder.is_none();
    let mut report = CutoverReport { switch: switch.describe(), without_entities, ..CutoverReport::default() };
    report.last = copy.pass(progress)?;
    let (copied, found) = (copy.carried.count()?, target.count()?);
    // After an earlier try other clients may write to the new store; in place they always do.
    let has_no_other_writers = is_first_try && !matches!(route.target, TargetSpec::InPlace);
    if copied != found && has_no_other_writers {
        return Err(Refusal::CountsDiffer { copied, found }.into());
    }
    migration.state.switch = Some(switch.clone());
    migration.save()?;
    if let Err(error) = switch.apply(rest.as_ref()) {
        // A file is replaced atomically, but an alias may have been switched although no response arrived.
        if is_first_try && !matches!(switch, Switch::Alias { .. }) {
            migration.state.switch = None;
            migration.save()?;
        }
        return Err(error);
    }
    if let Err(reason) = restart_and_check(server) {
        switch.revert(rest.as_ref())?;
        let restarted = (server.restart)();
        // Clients may have written to the new store before the check failed.
        if matches!(route.source, SourceSpec::Collection { .. }) && !matches!(route.target, TargetSpec::InPlace) {
            sync_back(migration, context, progress)?;
        }
        migration.state.switch = None;
        migration.state.switched = false;
        migration.record_result(Phase::Cutover, false, format!("switched back: {reason}"))?;
        let message = match restarted {
            Ok(()) => format!("switched back: {reason}"),
            Err(second) => format!("switched back: {reason}; then {second}: make the server read the setting again"),
        };
        return Err(MigrateError::SwitchFailed(message));
    }
    report.late = copy.pass(progress)?;
    if let Some(history) = &migration.state.history {
        report.late_history = Some(import_history(&route, context, dims, history, &copy.carried)?);
    }
    migration.state.switched = true;
    migration.state.ended.remove(&Phase::Rollback);
    migration.record_result(Phase::Cutover, true, report.switch.clone())?;
    Ok(report)
}

fn restart_and_check(server: &ServerHooks<'_>) -> Result<(), String> {
    (server.restart)()?;
    (server.smoke)().map_err(|reason| format!("the new store failed its smoke test: {reason}"))
}
