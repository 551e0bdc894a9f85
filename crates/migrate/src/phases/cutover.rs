//! The phase that switches to the new store.

use super::rebuild::sync_target;
use super::rollback::sync_back;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::progress::Progress;
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};
use crate::switch::Switch;
use crate::sync::SyncReport;

/// The server that is switched. Both say what went wrong.
pub struct ServerHooks<'s> {
    /// Makes it take what was switched.
    pub restart: &'s dyn Fn() -> Result<(), String>,
    /// Tries it.
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
    /// What the last pass before the switch found.
    pub last: SyncReport,
    /// What was written to the old store while it was switched.
    pub late: SyncReport,
    /// What was switched.
    pub switch: String,
    /// Whether it was switched before, and nothing was done now.
    pub already: bool,
}

/// Carries over what is left, switches, and tries the new store; where that fails, it is switched back.
///
/// # Errors
/// [`MigrateError::Refused`] before a green verify; [`MigrateError::Switch`] where the server failed and was switched back;
/// [`MigrateError`] of either side.
pub fn cutover(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    switch: Switch,
    served: &ServerHooks<'_>,
    progress: &Progress<'_>,
) -> Result<CutoverReport> {
    let route = migration.route()?.clone();
    // Begun once, what was before is known; asked again it would be what is now.
    let begun = migration.state.switch.clone();
    if let Some(begun) = begun.as_ref().filter(|begun| !begun.is_same_setting(&switch)) {
        let message = format!(
            "another switch was begun ({}): call that one again, or `mnemon migrate rollback` first",
            begun.told()
        );
        return Err(MigrateError::Refused(message));
    }
    if let (true, Some(switch)) = (migration.state.switched, &migration.state.switch) {
        return Ok(CutoverReport { switch: switch.told(), already: true, ..CutoverReport::default() });
    }
    if !migration.state.is_compared() {
        let message = "the last `mnemon migrate verify` is not green, or older than the last rebuild: run it first";
        return Err(MigrateError::Refused(message.into()));
    }
    let was_begun = begun.is_some();
    let switch = begun.unwrap_or(switch);
    let (source, rest) = (route.source(tools)?, route.rest(tools)?);
    let opened = route.target(tools, source.about().dims)?;
    let base = migration.base()?;
    let mut done = CutoverReport { switch: switch.told(), ..CutoverReport::default() };
    done.last = sync_target(&*source, &opened, &base, tools, false, progress)?;
    let (carried, there) = (base.count()?, opened.target().count()?);
    // Where it was begun before, others may write to the new store since; in place they always do.
    let alone = !was_begun && !matches!(route.to, TargetSpec::InPlace);
    if carried != there && alone {
        let message = format!(
            "{carried} memories were carried over, {there} are in the new store: nothing was switched; `mnemon migrate \
             verify` tells the difference"
        );
        return Err(MigrateError::Refused(message));
    }
    migration.state.switch = Some(switch.clone());
    migration.save()?;
    if let Err(error) = switch.apply(rest.as_ref()) {
        // A file is written whole or not at all; an alias may have been moved though no answer came.
        if !was_begun && !matches!(switch, Switch::Alias { .. }) {
            migration.state.switch = None;
            migration.save()?;
        }
        return Err(error);
    }
    let tried = (served.restart)()
        .and_then(|()| (served.smoke)().map_err(|told| format!("the new store failed its smoke test: {told}")));
    if let Err(told) = tried {
        switch.revert(rest.as_ref())?;
        let restarted = (served.restart)();
        // Who was faster than the smoke test has written to the new store.
        if let (SourceSpec::Collection { .. }, true) = (&route.from, !matches!(route.to, TargetSpec::InPlace)) {
            sync_back(migration, tools, progress)?;
        }
        migration.state.switch = None;
        migration.state.switched = false;
        migration.end(Phase::Cutover, false, format!("switched back: {told}"))?;
        let but = restarted.err().map_or_else(String::new, |told| format!("; then {told}: have the server take it"));
        let message = format!("switched back: {told}{but}");
        return Err(MigrateError::Switch(message));
    }
    done.late = sync_target(&*source, &opened, &base, tools, false, progress)?;
    migration.state.switched = true;
    migration.state.ended.remove(&Phase::Rollback);
    migration.end(Phase::Cutover, true, done.switch.clone())?;
    Ok(done)
}
