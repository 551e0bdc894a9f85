//! Applies the entities of plans to the collection of entities.

use std::collections::{BTreeSet, HashMap, HashSet};

use qdrant_client::qdrant::points_update_operation::{Operation, SetPayload};
use qdrant_client::qdrant::{GetPointsBuilder, PointId};

use super::codec::{
    LINKED_MEMORIES, delete_operation, entity, id_selector, linked_memories_value, payload_map, point, point_id,
    upsert_operation,
};
use super::entities::{entities_with_names, mentioned_by, scroll_entities};
use super::inner::Inner;
use super::plan::Plan;
use super::points::update;
use crate::{Entity, MemoryId, Payload, Result, Sparse};

/// Ids in one condition, and operations in one request.
const BATCH: usize = 500;

/// Changes to entities that were found when plans were applied.
#[derive(Default)]
pub(super) struct EntityChanges {
    /// Entities that were deleted because no memory mentions them any more.
    pub(super) unreferenced: Vec<MemoryId>,
    /// Entities that another program had deleted, and the entities with the same names that are used instead.
    pub(super) replaced: HashMap<MemoryId, MemoryId>,
}

/// The current entities that plans change.
pub(super) struct CurrentEntities {
    entities: Vec<Entity>,
    /// See [`EntityChanges::replaced`].
    replaced: HashMap<MemoryId, MemoryId>,
}

/// The memories of an entity before and after plans are applied.
struct LinkedMemories {
    before: BTreeSet<MemoryId>,
    after: BTreeSet<MemoryId>,
}

/// Reads the entities that plans change. Another program may have deleted an entity and created one with the same name and
/// another id, in the same spelling or in lower case. That one is used instead.
pub(super) async fn find_entities(inner: &Inner, plans: &[&Plan]) -> Result<CurrentEntities> {
    let mut found: HashMap<MemoryId, Entity> = HashMap::new();
    let mut replaced = HashMap::new();
    let unlinked: Vec<MemoryId> = plans.iter().flat_map(|plan| &plan.unlinked).copied().collect();
    for ids in unlinked.chunks(BATCH) {
        for point in scroll_entities(inner, mentioned_by(ids), false).await? {
            let entity = entity(point)?;
            found.insert(entity.id, entity);
        }
    }
    let existing =
        plans.iter().flat_map(|plan| plan.entities.iter().filter(|entity| !plan.new_entities.contains(&entity.id)));
    let ids: Vec<PointId> = existing.map(|entity| point_id(entity.id)).collect();
    for ids in ids.chunks(BATCH) {
        let request = GetPointsBuilder::new(&inner.collections.entities, ids.to_vec()).with_payload(true).build();
        for point in inner.client.send("get", |node| node.get_points(request.clone())).await?.result {
            let entity = entity(point)?;
            found.insert(entity.id, entity);
        }
    }
    let known =
        plans.iter().flat_map(|plan| plan.entities.iter().filter(|entity| plan.known_entities.contains(&entity.id)));
    for missing in known.filter(|entity| !found.contains_key(&entity.id)).collect::<Vec<_>>() {
        let name = missing.text().to_lowercase();
        let spellings = vec![missing.text().to_owned(), name.clone()];
        let same_name = entities_with_names(inner, &missing.payload.scope(), spellings).await?.into_iter();
        let other = same_name.filter(|other| other.text().to_lowercase() == name).min_by_key(|other| other.id);
        if let Some(other) = other {
            replaced.insert(missing.id, other.id);
            found.insert(other.id, other);
        }
    }
    Ok(CurrentEntities { entities: found.into_values().collect(), replaced })
}

/// Unlinks, links and creates the entities of plans. Deletes those that no memory mentions any more.
pub(super) async fn update_entities(inner: &Inner, plans: &[&Plan], current: CurrentEntities) -> Result<EntityChanges> {
    let CurrentEntities { entities, replaced } = current;
    let unlinked: HashSet<MemoryId> = plans.iter().flat_map(|plan| &plan.unlinked).copied().collect();
    let mut existing: HashMap<MemoryId, LinkedMemories> = HashMap::new();
    for entity in entities {
        let before: BTreeSet<MemoryId> = entity.memories.into_iter().collect();
        let after = before.iter().copied().filter(|id| !unlinked.contains(id)).collect();
        existing.insert(entity.id, LinkedMemories { before, after });
    }
    let mut created = Vec::new();
    for entity in plans.iter().flat_map(|plan| &plan.entities) {
        if let Some(memories) = existing.get_mut(replaced.get(&entity.id).unwrap_or(&entity.id)) {
            memories.after.extend(&entity.memories);
        } else {
            let mut payload = entity.payload.clone();
            payload.set(LINKED_MEMORIES, linked_memories_value(&entity.memories.iter().copied().collect()));
            created.push(point(entity.id, &payload, &entity.vector, None::<&Sparse>)?);
        }
    }
    let mut operations: Vec<Operation> = Vec::new();
    if !created.is_empty() {
        operations.push(upsert_operation(created));
    }
    let mut unreferenced = Vec::new();
    for (id, LinkedMemories { before, after }) in existing {
        if after.is_empty() {
            unreferenced.push(id);
        } else if after != before {
            let mut change = Payload::default();
            change.set(LINKED_MEMORIES, linked_memories_value(&after));
            operations.push(Operation::SetPayload(SetPayload {
                payload: payload_map(&change)?,
                points_selector: Some(id_selector(&[id])),
                ..SetPayload::default()
            }));
        }
    }
    if !unreferenced.is_empty() {
        operations.push(delete_operation(&unreferenced));
    }
    for batch in operations.chunks(BATCH) {
        update(inner, &inner.collections.entities, batch.to_vec()).await?;
    }
    Ok(EntityChanges { unreferenced, replaced })
}
