//! The phase that carries over, and does it again until nothing is left.

use crate::pass::{SyncOptions, SyncReport, sync, write_entities};
use crate::read::Source;
use crate::route::{MigrationContext, OpenTarget};
use crate::state::{Migration, Phase, TargetSpec};
use crate::{CarriedPoints, MigrateError, Result};

/// Passes at most: where writes never end, the last one is left to cutover.
const PASSES: usize = 4;

/// What progress is told of entities by; all else is told of points.
pub const ENTITIES: &str = "entities";

/// What was carried over.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Each pass; the first is the long one.
    pub passes: Vec<SyncReport>,
    /// Entities in the target.
    pub entities: u64,
    /// Whether entities were made: not without an embedder of the collection's dims.
    pub with_entities: bool,
}

/// Told what is being done, how many points or entities it is done with, and of how many in all.
pub type Progress<'p> = dyn Fn(&'static str, usize, u64) + Sync + 'p;

/// Carries everything over, and then what changed meanwhile. Begun anew after it was stopped, it goes on; `again` writes what
/// was carried over before, too.
///
/// # Errors
/// [`MigrateError::Refused`] where the target holds something else; [`MigrateError`] of either side.
pub fn rebuild(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<RebuildReport> {
    let route = migration.route()?.clone();
    let in_place = matches!(route.to, TargetSpec::InPlace);
    if migration.state.switched && !in_place {
        let message = "the new store is the one that is served: what is in the old one now would be written over newer \
                       memories; `mnemon migrate rollback` first";
        return Err(MigrateError::Refused(message.into()));
    }
    let source = route.source(tools)?;
    let dims = source.about().dims;
    let opened = route.target(tools, dims)?;
    if !migration.state.begun {
        if let Some(held) = opened.held()?.filter(|held| *held > 0 && !in_place) {
            let message = format!(
                "{} holds {held} memories that this migration did not bring: give a target that is new",
                opened.target().place()
            );
            return Err(MigrateError::Refused(message));
        }
        opened.prepare(dims, &tools.new)?;
        migration.state.begun = true;
        migration.save()?;
    }
    opened.prepare(dims, &tools.new)?;
    let base = migration.base()?;
    let mut rebuilt = RebuildReport { with_entities: tools.embedder_of(dims).is_some(), ..RebuildReport::default() };
    while rebuilt.passes.len() < PASSES && !rebuilt.passes.last().is_some_and(SyncReport::is_idle) {
        let again = again && rebuilt.passes.is_empty();
        rebuilt.passes.push(bring_up(&*source, &opened, &base, tools, again, progress)?);
    }
    rebuilt.entities = opened.entities()?;
    let carried = base.count()?;
    migration.end(Phase::Rebuild, true, format!("{carried} memories, {} entities", rebuilt.entities))?;
    Ok(rebuilt)
}

/// One pass, and the entities that changed by it.
pub(crate) fn bring_up(
    source: &dyn Source,
    opened: &OpenTarget,
    base: &CarriedPoints,
    tools: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<SyncReport> {
    let embedder = tools.embedder_of(source.about().dims);
    let options = SyncOptions { embedder, rate: tools.rate, again, removals: tools.removals };
    let points = source.about().points;
    let passed = sync(source, &*opened.target(), base, options, &|done| progress("carried over", done, points))?;
    if let (Some(embedder), OpenTarget::Collection { .. }) = (embedder, opened) {
        let changed = base.changed_count()?;
        write_entities(
            base,
            embedder,
            &|entities| opened.put_entities(entities),
            &|ids| opened.remove_entities(ids),
            &|done| progress(ENTITIES, done, changed),
        )?;
    }
    opened.index()?;
    Ok(passed)
}
