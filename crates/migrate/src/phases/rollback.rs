//! The phase that switches back, with the writes that were made since.

use std::path::PathBuf;

use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::progress::Progress;
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::{CollectionTarget, Keeping, PointFormat};

/// What a way there and back leaves in the migration's folder: points as they were before the way back wrote over them.
const REPLACED_FILE: &str = "replaced-by-rollback.jsonl";

/// What a rollback did.
#[derive(Clone, Debug, Default)]
pub struct RollbackReport {
    /// Writes that were carried back.
    pub carried: SyncReport,
    /// Whether they were left behind instead.
    pub dropped: bool,
    /// What was switched back.
    pub switch: String,
    /// Where the points are that were written over in the old store; none where there were none.
    pub replaced: Option<PathBuf>,
}

/// Switches back, carrying the writes that were made since into the old store, in its shape; `restart` makes the server take
/// it.
///
/// # Errors
/// [`MigrateError::Refused`] where nothing was switched, or where writes can't be carried and `drop_writes` is not set;
/// [`MigrateError::Switch`] where the server could not be restarted: a second call goes on.
pub fn rollback(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    drop_writes: bool,
    restart: &dyn Fn() -> Result<(), String>,
    progress: &Progress<'_>,
) -> Result<RollbackReport> {
    let route = migration.route()?.clone();
    let Some(switch) = migration.state.switch.clone() else {
        return Err(MigrateError::Refused("nothing was switched, so there is nothing to switch back".into()));
    };
    if migration.is_done(Phase::Retire) {
        let message = "the old collection was retired: there is nothing to go back to";
        return Err(MigrateError::Refused(message.into()));
    }
    let rest = route.rest(tools)?;
    let back = || {
        switch.revert(rest.as_ref())?;
        let told = |told| MigrateError::Switch(format!("switched back, but {told}: mend that, and roll back again"));
        restart().map_err(told)
    };
    let mut done = RollbackReport { switch: switch.describe_rollback(), ..RollbackReport::default() };
    if matches!(route.to, TargetSpec::InPlace) {
        // The writes are in the collection; what was added to it goes, so that old readers see what they saw.
        back()?;
        if let (Some(server), SourceSpec::Collection { name, .. }) = (route.server(tools)?, &route.from) {
            server.remove_slot(name)?;
        }
        migration.base()?.clear()?;
        migration.state.begun = false;
        migration.state.ended.remove(&Phase::Rebuild);
        migration.state.ended.remove(&Phase::Verify);
    } else if drop_writes {
        done.dropped = true;
        back()?;
    } else {
        let (carried, replaced) = sync_back(migration, tools, progress)?;
        back()?;
        // What was written while it was switched.
        let (late, replaced_late) = sync_back(migration, tools, progress)?;
        done.carried = carried;
        done.carried.added += late.added;
        done.carried.changed += late.changed;
        done.carried.removed += late.removed;
        done.replaced = replaced.or(replaced_late);
    }
    migration.state.switch = None;
    migration.state.switched = false;
    let told = format!(
        "{} added, {} changed, {} removed in the old store",
        done.carried.added, done.carried.changed, done.carried.removed
    );
    migration.end(Phase::Rollback, true, told)?;
    Ok(done)
}

/// Carries what was written to the new store into the old one, in its shape; returns what was done, and where the points are
/// that were written over, if any were.
pub(super) fn sync_back(
    migration: &Migration,
    tools: &MigrationContext<'_>,
    progress: &Progress<'_>,
) -> Result<(SyncReport, Option<PathBuf>)> {
    let route = migration.route()?;
    let (Some(server), SourceSpec::Collection { name, .. }) = (route.server(tools)?, &route.from) else {
        let message = "the source is a snapshot file: writes made since can't be carried into it; restore the snapshot in \
                       Qdrant and `mnemon export` the new store, or give --drop-writes";
        return Err(MigrateError::Refused(message.into()));
    };
    let legacy = CollectionTarget::new(server, name, PointFormat::Legacy);
    let opened = route.target(tools, route.source(tools)?.about().dims)?;
    let source = opened.source()?;
    let keeping = Keeping::new(&legacy, migration.folder().join(REPLACED_FILE))?;
    let options = SyncOptions { rate: tools.rate, allow_removals: tools.removals, ..SyncOptions::default() };
    let points = source.about().points;
    let carried =
        sync(&*source, &keeping, &migration.base()?, options, &|done| progress("carried back", done, points))?;
    Ok((carried, keeping.into_file()))
}
