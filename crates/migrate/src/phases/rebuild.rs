//! Rebuild: copies everything to the target, and repeats the sync pass until it finds no changes.

use crate::carried::CarriedPoints;
use crate::endpoints::MigrationContext;
use crate::entities::write_entities;
use crate::error::{Refusal, Result};
use crate::progress::{ENTITIES_STEP, Progress};
use crate::source::Source;
use crate::state::{Migration, Phase, TargetSpec};
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::Target;

/// The highest number of passes. If clients write to the source all the time, the cutover makes the last pass.
const MAX_PASSES: usize = 4;

/// What a rebuild did.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Each sync pass; the first one copies most.
    pub passes: Vec<SyncReport>,
    /// The number of entities in the target.
    pub entities: u64,
    /// Whether entities were written, which needs an embedder with the collection's dims.
    pub with_entities: bool,
}

/// Copies all points to the target, then the changes made during the copy. An interrupted rebuild continues where it
/// stopped. With `again`, points that were copied before are written again.
///
/// # Errors
/// [`crate::MigrateError::Refused`] if the target holds other memories; [`crate::MigrateError::Store`] if the source or the target fails.
pub fn rebuild(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<RebuildReport> {
    let route = migration.route()?.clone();
    let in_place = matches!(route.target, TargetSpec::InPlace);
    if migration.state.switched && !in_place {
        return Err(Refusal::WouldOverwrite.into());
    }
    let source = route.source(context)?;
    let dims = source.info().dims;
    let target = route.target(context, dims)?;
    if !migration.state.started {
        if let Some(count) = target.approximate_count()?.filter(|count| *count > 0 && !in_place) {
            return Err(Refusal::TargetNotEmpty { location: target.location(), count }.into());
        }
        target.prepare(dims, &context.new_collection)?;
        migration.state.started = true;
        migration.save()?;
    }
    target.prepare(dims, &context.new_collection)?;
    let carried = migration.carried_points()?;
    let with_entities = context.embedder_with_dims(dims).is_some();
    let mut report = RebuildReport { with_entities, ..RebuildReport::default() };
    while report.passes.len() < MAX_PASSES && !report.passes.last().is_some_and(SyncReport::is_idle) {
        let rewrite_all = again && report.passes.is_empty();
        report.passes.push(sync_target(&*source, &*target, &carried, context, rewrite_all, progress)?);
    }
    report.entities = target.entity_count()?;
    let copied = carried.count()?;
    migration.record_result(Phase::Rebuild, true, format!("{copied} memories, {} entities", report.entities))?;
    Ok(report)
}

/// Makes one sync pass and writes the entities that it changed.
pub(super) fn sync_target(
    source: &dyn Source,
    target: &dyn Target,
    carried: &CarriedPoints,
    context: &MigrationContext<'_>,
    rewrite_all: bool,
    progress: &Progress<'_>,
) -> Result<SyncReport> {
    let embedder = context.embedder_with_dims(source.info().dims);
    let options = SyncOptions {
        embedder,
        rate: context.rate,
        rewrite_all,
        allow_removals: context.allow_removals,
        before_change: None,
    };
    let points = source.info().points;
    let report = sync(source, target, carried, options, &|done| progress("copied", done, points))?;
    if let Some(embedder) = embedder.filter(|_| !target.builds_entities()) {
        let changed = carried.changed_entity_count()?;
        write_entities(carried, embedder, target, &|done| progress(ENTITIES_STEP, done, changed))?;
    }
    target.start_indexing()?;
    Ok(report)
}
