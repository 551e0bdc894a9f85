//! Rollback: switches back to the old store and copies the writes made since the cutover to it.

mod replaced;

use std::path::PathBuf;

use replaced::ReplacedPoints;

use crate::addresses::check_addresses;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Refusal, Result};
use crate::progress::Progress;
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::{CollectionTarget, PointFormat};

/// The file in the migration's folder with the points that were overwritten or removed in the old store.
const REPLACED_FILE: &str = "replaced-by-rollback.jsonl";

/// What a rollback did.
#[derive(Clone, Debug, Default)]
pub struct RollbackReport {
    /// The writes that were copied back.
    pub carried: SyncReport,
    /// Whether the writes were left in the new store instead.
    pub dropped: bool,
    /// The setting that was switched back, for messages.
    pub switch: String,
    /// The file with the points of the old store that were overwritten or removed; `None` if there were none.
    pub replaced: Option<PathBuf>,
}

/// Switches back to the old store and copies the writes made since the cutover to it, in the format of mem0 before v2.
/// `restart` makes the server read the switched setting.
///
/// # Errors
/// [`MigrateError::Refused`] if nothing was switched, or if the writes can't be copied back and `drop_writes` is not
/// set; [`MigrateError::SwitchFailed`] if the server could not be restarted: another call continues.
pub fn rollback(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    drop_writes: bool,
    restart: &dyn Fn() -> Result<(), String>,
    progress: &Progress<'_>,
) -> Result<RollbackReport> {
    let route = migration.route()?.clone();
    let Some(switch) = migration.state.switch.clone() else {
        return Err(Refusal::NothingSwitched.into());
    };
    if migration.is_done(Phase::Retire) {
        return Err(Refusal::SourceDeleted.into());
    }
    let rest = route.rest(context)?;
    let in_place = matches!(route.target, TargetSpec::InPlace);
    if in_place || !drop_writes {
        check_addresses(&route, context, true)?;
    }
    switch.check(rest.as_ref())?;
    let switch_back = || {
        switch.revert(rest.as_ref())?;
        restart().map_err(|reason| {
            MigrateError::SwitchFailed(format!("switched back, but {reason}: fix that and run the rollback again"))
        })
    };
    let mut report = RollbackReport { switch: switch.describe_rollback(), ..RollbackReport::default() };
    if in_place {
        // The writes are in the collection itself. The slot is removed, so that old readers find what they knew.
        switch_back()?;
        if let (Some(server), SourceSpec::Collection { name, .. }) = (route.server(context)?, &route.source) {
            server.remove_bm25(name)?;
        }
        migration.carried_points()?.clear()?;
        migration.state.started = false;
        migration.state.ended.remove(&Phase::Rebuild);
        migration.state.ended.remove(&Phase::Verify);
    } else if drop_writes {
        report.dropped = true;
        switch_back()?;
    } else {
        let (copied, replaced) = sync_back(migration, context, progress)?;
        switch_back()?;
        // Copies the writes that the new store received during the first pass and the switch.
        let (late, replaced_late) = sync_back(migration, context, progress)?;
        report.carried = copied;
        report.carried.added += late.added;
        report.carried.changed += late.changed;
        report.carried.removed += late.removed;
        report.replaced = replaced.or(replaced_late);
    }
    migration.state.switch = None;
    migration.state.switched = false;
    let summary = format!(
        "{} added, {} changed, {} removed in the old store",
        report.carried.added, report.carried.changed, report.carried.removed
    );
    migration.record_result(Phase::Rollback, true, summary)?;
    Ok(report)
}

/// Copies the writes in the new store to the old one, in the format of mem0 before v2. Returns the report of the pass,
/// and the file with the points that were overwritten or removed, if there were any.
pub(super) fn sync_back(
    migration: &Migration,
    context: &MigrationContext<'_>,
    progress: &Progress<'_>,
) -> Result<(SyncReport, Option<PathBuf>)> {
    let route = migration.route()?;
    let (Some(server), SourceSpec::Collection { name, .. }) = (route.server(context)?, &route.source) else {
        return Err(Refusal::SnapshotSource.into());
    };
    let old = CollectionTarget::new(server, name, PointFormat::Legacy);
    let new = route.target(context, route.source(context)?.info().dims)?;
    let source = new.as_source()?;
    let replaced = ReplacedPoints::open(&old, migration.folder().join(REPLACED_FILE))?;
    let options = SyncOptions {
        has_entities: true,
        rate: context.rate,
        allow_removals: context.allow_removals,
        before_change: Some(&|ids| replaced.save(ids)),
        ..SyncOptions::default()
    };
    let points = source.info().points;
    let copied =
        sync(&*source, &old, &migration.carried_points()?, options, &|done| progress("copied back", done, points))?;
    Ok((copied, replaced.close()))
}
