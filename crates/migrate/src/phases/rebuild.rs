//! Rebuild: copies everything to the target, and repeats the sync pass until it finds no changes.

mod complete;
mod copy;
mod report;

use std::collections::BTreeMap;

use complete::complete_entities;
pub(super) use copy::Copy;
use copy::Run;
pub use report::RebuildReport;

use super::embedder::entity_embedder;
use super::history::import_history;
use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::progress::Progress;
use crate::state::{Migration, Part, PartResult, PartState, Phase, TargetSpec};

/// Copies all parts that the migration asks for to the target: all points, then the changes made during the copy, their
/// entities, and the history. An interrupted rebuild continues where it stopped. With `again`, points that were copied
/// before are written again. The result of each part is recorded; a part that fails does not keep the others from being
/// copied.
///
/// # Errors
/// [`crate::MigrateError::Refused`] if the target holds other memories, or if entities are asked for and no embedder fits; the
/// first error of a part otherwise.
pub fn rebuild(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<RebuildReport> {
    let route = migration.route()?.clone();
    let in_place = matches!(route.target, TargetSpec::InPlace);
    if migration.state.switched && !in_place {
        return complete_entities(migration, context, again, progress);
    }
    let source = route.source(context)?;
    let dims = source.info().dims;
    let embedder = entity_embedder(migration, context, &*source)?;
    let target = route.target(context, dims)?;
    target.check(dims)?;
    if !migration.state.started {
        if let Some(count) = target.approximate_count()?.filter(|count| *count > 0 && !in_place) {
            return Err(Refusal::TargetNotEmpty { location: target.location(), count }.into());
        }
        migration.state.started = true;
        migration.save()?;
    }
    let mut run = Run { parts: BTreeMap::new(), error: None };
    for part in Phase::Rebuild.parts() {
        let state = if migration.state.asks_for(*part) { PartState::Pending } else { PartState::LeftOut };
        run.parts.insert(*part, PartResult::new(state, ""));
    }
    migration.record_parts(Phase::Rebuild, false, "not complete", run.parts.clone())?;
    let mut report = RebuildReport { with_entities: embedder.is_some(), ..RebuildReport::default() };
    let copy = Copy { source: &*source, target: &*target, carried: migration.carried_points()?, context, embedder };
    copy.run(again, progress, &mut report, &mut run);
    if let Some(file) = migration.state.history.clone().filter(|_| run.is_done(Part::Points)) {
        let imported = import_history(&route, context, dims, &file, &copy.carried);
        report.history = run.note(&[Part::History], imported.map(|rows| (rows, format!("{rows} rows imported"))));
    }
    report.entities = target.entity_count()?;
    let copied = copy.carried.count()?;
    let summary = format!("{copied} memories, {} entities", report.entities);
    migration.record_parts(Phase::Rebuild, run.error.is_none(), summary, run.parts)?;
    run.error.map_or(Ok(report), Err)
}
