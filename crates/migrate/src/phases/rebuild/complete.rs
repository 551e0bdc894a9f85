//! Adds entities to a store that is in use and was filled without them.

use std::collections::HashMap;

use mnemon_engine::{Engine, ForeignPoint, enrich};
use mnemon_models::Embedder;
use mnemon_store::{MemoryId, StoredMemory};

use super::super::embedder::entity_embedder;
use super::report::RebuildReport;
use crate::carried::{CarriedPoints, Digest, EntitiesOf, digest};
use crate::endpoints::MigrationContext;
use crate::entities::write_entities;
use crate::error::{Refusal, Result};
use crate::progress::{ENTITIES_STEP, Progress};
use crate::state::{Migration, Part, PartResult, PartState, Phase};
use crate::target::Target;

/// The number of copied points in a page.
const PAGE: usize = 500;

/// Adds the entities of memories that were copied without them to a store that is in use. Memories that were changed since
/// got their entities with the change.
pub(super) fn complete_entities(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<RebuildReport> {
    let carried = migration.carried_points()?;
    let left = carried.count_with_entities(EntitiesOf::Unknown)?;
    if again || left == 0 || !migration.state.asks_for(Part::Entities) {
        return Err(Refusal::WouldOverwrite.into());
    }
    let route = migration.route()?.clone();
    let source = route.source(context)?;
    let dims = source.info().dims;
    let Some(embedder) = entity_embedder(migration, context, &*source)? else { return Ok(RebuildReport::default()) };
    let target = route.target(context, dims)?;
    let engine = if target.builds_entities() { Some(context.open_target(&route, dims)?) } else { None };
    let (mut after, mut done) = (None, 0);
    loop {
        let page = carried.page(after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let ids: Vec<MemoryId> = page.iter().map(|(id, _)| *id).collect();
        let unknown = carried.with_entities(EntitiesOf::Unknown, &ids)?;
        let page: Vec<(MemoryId, Digest)> = page.into_iter().filter(|(id, _)| unknown.contains(id)).collect();
        match &engine {
            Some(engine) => add_to_store(&carried, engine, embedder, &page)?,
            None => record_entities(&carried, &*target, &page)?,
        }
        done += page.len();
        progress("completed", done, left);
    }
    if engine.is_none() {
        let changed = carried.changed_entity_count()?;
        write_entities(&carried, embedder, &*target, &|done| progress(ENTITIES_STEP, done, changed))?;
    }
    target.record_without_entities(false)?;
    let entities = target.entity_count()?;
    if let Some(rebuilt) = migration.state.ended.get_mut(&Phase::Rebuild) {
        rebuilt.parts.insert(Part::Entities, PartResult::new(PartState::Done, "added after the cutover"));
    }
    migration.save()?;
    Ok(RebuildReport { entities, with_entities: true, ..RebuildReport::default() })
}

/// Adds the entities of one page of copied points to a store that builds them itself.
fn add_to_store(
    carried: &CarriedPoints,
    engine: &Engine,
    embedder: &dyn Embedder,
    page: &[(MemoryId, Digest)],
) -> Result<()> {
    let copied: HashMap<MemoryId, Digest> = page.iter().copied().collect();
    let is_unchanged =
        |stored: &StoredMemory| copied.get(&stored.memory.id) == Some(&digest(&stored.memory.payload, &stored.vector));
    let ids: Vec<MemoryId> = page.iter().map(|(id, _)| *id).collect();
    let completed = engine.add_entities(&ids, embedder, &is_unchanged)?;
    let (completed, changed): (Vec<_>, Vec<_>) = page.iter().copied().partition(|(id, _)| completed.contains(id));
    carried.record(&completed, &[], EntitiesOf::Recorded)?;
    carried.record(&changed, &[], EntitiesOf::Target)
}

/// Records the entities of one page of copied points, which are written at the end.
fn record_entities(carried: &CarriedPoints, target: &dyn Target, page: &[(MemoryId, Digest)]) -> Result<()> {
    let ids: Vec<MemoryId> = page.iter().map(|(id, _)| *id).collect();
    let mut stored = target.get(&ids)?;
    let is_unchanged = |id: &MemoryId, copied: &Digest| {
        stored.get(id).is_some_and(|stored| digest(&stored.memory.payload, &stored.vector) == *copied)
    };
    let (unchanged, changed): (Vec<_>, Vec<_>) =
        page.iter().copied().partition(|(id, copied)| is_unchanged(id, copied));
    let points = unchanged.iter().filter_map(|(id, _)| stored.remove(id)).map(|stored| ForeignPoint {
        id: stored.memory.id,
        payload: stored.memory.payload,
        vector: stored.vector,
    });
    let records = enrich(points.collect());
    carried.record(&unchanged, &records, EntitiesOf::Recorded)?;
    carried.record(&changed, &[], EntitiesOf::Target)
}
