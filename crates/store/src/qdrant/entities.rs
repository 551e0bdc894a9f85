//! Entities, a point each in the collection beside the memories, with the ids of the memories that name them.

use std::collections::{BTreeSet, HashMap, HashSet};

use qdrant_client::qdrant::points_update_operation::{Operation, SetPayload};
use qdrant_client::qdrant::{
    Condition, Filter as Remote, GetPointsBuilder, PointId, QueryBatchPointsBuilder, QueryPointsBuilder,
    RetrievedPoint, SearchParamsBuilder,
};
use serde_json::Value as Json;

use super::QdrantStore;
use super::codec::{memory_id, payload, payload_map, point, point_id, vectors};
use super::collection::LINKED;
use super::outbox::{deletion, selector, upsertion};
use super::plan::Plan;
use super::pushdown::{carrying, exactly};
use super::tables::{id_at, scope_ids};
use crate::database::{Value, snapshot};
use crate::{Change, Entity, Filter, MemoryId, NearEntity, Payload, Result, Scope, Sparse, StoreError};

/// Ids of one condition.
const IDS_AT_ONCE: usize = 500;

/// An entity as Qdrant has it.
pub(super) fn entity(found: RetrievedPoint) -> Result<Entity> {
    let id = memory_id(found.id)?;
    let mut own = payload(found.payload);
    let memories = linked(&own);
    own.remove(LINKED);
    Ok(Entity { id, payload: own, vector: vectors(found.vectors).0, memories })
}

/// The memories that a payload says name it, sorted; ids of other programs may be numbers.
fn linked(payload: &Payload) -> Vec<MemoryId> {
    let list = payload.as_map().get(LINKED).and_then(Json::as_array);
    let mut ids: Vec<MemoryId> = list.into_iter().flatten().filter_map(|id| MemoryId::from_value(id).ok()).collect();
    ids.sort_by_key(|id| id.to_bytes());
    ids.dedup();
    ids
}

/// Ids as mem0 writes them: text, sorted.
fn linking(ids: &BTreeSet<MemoryId>) -> Json {
    let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    Json::from(texts)
}

/// Entities that one of these memories names.
fn naming(ids: &[MemoryId]) -> Remote {
    Remote::must([Condition::matches(LINKED, ids.iter().map(ToString::to_string).collect::<Vec<_>>())])
}

impl QdrantStore {
    /// Entities that changes name, by exact scope and lower-case name, as far as they are there.
    pub(super) fn entities_named(&self, changes: &[Change]) -> Result<HashMap<(Scope, String), MemoryId>> {
        let mut wanted: HashMap<Scope, HashMap<String, BTreeSet<String>>> = HashMap::new();
        for change in changes {
            let (Change::Insert(record) | Change::Replace(record)) = change else { continue };
            for mention in &record.mentions {
                let names = wanted.entry(record.memory.payload.scope()).or_default();
                names.entry(mention.text.to_lowercase()).or_default().insert(mention.text.clone());
            }
        }
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut listed: HashMap<(Scope, String), Vec<MemoryId>> = HashMap::new();
        snapshot(self.ledger(), |sql| {
            listed.clear();
            for (scope, names) in &wanted {
                let Some(ids) = scope_ids(sql, scope)? else { continue };
                for name in names.keys() {
                    let rows = sql.query(
                        "SELECT id FROM entities WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3
                         AND name = $4 ORDER BY seq",
                        &[Value::Int(ids[0]), Value::Int(ids[1]), Value::Int(ids[2]), super::tables::short(Some(name))],
                    )?;
                    let ids = rows.iter().map(|row| id_at(row, 0)).collect::<Result<Vec<_>>>()?;
                    if !ids.is_empty() {
                        listed.insert(((*scope).clone(), name.clone()), ids);
                    }
                }
            }
            Ok(())
        })?;
        // Another program may have removed one meanwhile, and made one of that name under another id: in the same
        // spelling or in lower case.
        let there = self.there_of(listed.values().flatten().copied().collect())?;
        let mut found = HashMap::with_capacity(listed.len());
        for (name, ids) in &listed {
            if let Some(id) = ids.iter().find(|id| there.contains(id)) {
                found.insert(name.clone(), *id);
            }
        }
        for (scope, names) in wanted {
            let mut spellings = Vec::new();
            for (name, as_written) in names {
                if !found.contains_key(&(scope.clone(), name.clone())) {
                    spellings.extend(as_written);
                    spellings.push(name);
                }
            }
            if spellings.is_empty() {
                continue;
            }
            let mut filter = exactly(&scope);
            filter.must.push(Condition::matches("data", spellings));
            for point in self.inner.client.wait(self.scroll_entities(filter, false))? {
                let entity = entity(point)?;
                found.entry((scope.clone(), entity.text().to_lowercase())).or_insert(entity.id);
            }
        }
        // What is gone comes back as the point it was.
        for (name, ids) in listed {
            found.entry(name).or_insert(ids[0]);
        }
        Ok(found)
    }

    /// Which of these entities are there.
    fn there_of(&self, ids: Vec<MemoryId>) -> Result<HashSet<MemoryId>> {
        let mut there = HashSet::with_capacity(ids.len());
        for ids in ids.chunks(IDS_AT_ONCE) {
            let ids = ids.iter().copied().map(point_id).collect::<Vec<_>>();
            let asked = GetPointsBuilder::new(&self.inner.collections.entities, ids)
                .with_payload(false)
                .with_vectors(false)
                .build();
            for point in self.inner.client.call("get", |node| node.get_points(asked.clone()))?.result {
                there.insert(memory_id(point.id)?);
            }
        }
        Ok(there)
    }

    /// All entities that a filter matches.
    pub(super) async fn scroll_entities(&self, filter: Remote, with_vectors: bool) -> Result<Vec<RetrievedPoint>> {
        self.scroll_all(&self.inner.collections.entities, filter, true, with_vectors).await
    }

    /// The entities a plan concerns, as they are.
    pub(super) async fn find_entities(&self, plan: &Plan) -> Result<Vec<Entity>> {
        let mut found: HashMap<MemoryId, Entity> = HashMap::new();
        for ids in plan.stripped.chunks(IDS_AT_ONCE) {
            for point in self.scroll_entities(naming(ids), false).await? {
                let entity = entity(point)?;
                found.insert(entity.id, entity);
            }
        }
        let ids = plan.entities.iter().map(|entity| entity.id).filter(|id| !plan.fresh.contains(id));
        let ids: Vec<PointId> = ids.map(point_id).collect();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let asked = GetPointsBuilder::new(&self.inner.collections.entities, ids).with_payload(true).build();
            for point in self.inner.client.send("get", |node| node.get_points(asked.clone())).await?.result {
                let entity = entity(point)?;
                found.insert(entity.id, entity);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Strips, links and makes entities; those that nobody names any more go, and are returned.
    pub(super) async fn perform_entities(&self, plan: &Plan, found: Vec<Entity>) -> Result<Vec<MemoryId>> {
        let stripped: HashSet<MemoryId> = plan.stripped.iter().copied().collect();
        let mut there: HashMap<MemoryId, (BTreeSet<MemoryId>, BTreeSet<MemoryId>)> = HashMap::new();
        for entity in found {
            let before: BTreeSet<MemoryId> = entity.memories.into_iter().collect();
            let after = before.iter().copied().filter(|id| !stripped.contains(id)).collect();
            there.insert(entity.id, (before, after));
        }
        let mut made = Vec::new();
        for entity in &plan.entities {
            if let Some((_, after)) = there.get_mut(&entity.id) {
                after.extend(&entity.memories);
            } else {
                let mut own = entity.payload.clone();
                own.set(LINKED, linking(&entity.memories.iter().copied().collect()));
                made.push(point(entity.id, &own, &entity.vector, None::<&Sparse>)?);
            }
        }
        let mut operations: Vec<Operation> = Vec::new();
        if !made.is_empty() {
            operations.push(upsertion(made));
        }
        let mut unnamed = Vec::new();
        for (id, (before, after)) in there {
            if after.is_empty() {
                unnamed.push(id);
            } else if after != before {
                let mut change = Payload::default();
                change.set(LINKED, linking(&after));
                operations.push(Operation::SetPayload(SetPayload {
                    payload: payload_map(&change)?,
                    points_selector: Some(selector(&[id])),
                    ..SetPayload::default()
                }));
            }
        }
        if !unnamed.is_empty() {
            operations.push(deletion(&unnamed));
        }
        for part in operations.chunks(IDS_AT_ONCE) {
            self.update(&self.inner.collections.entities, part.to_vec()).await?;
        }
        Ok(unnamed)
    }

    /// Entities that name a memory.
    pub(super) fn entities_naming(&self, id: MemoryId) -> Result<Vec<Entity>> {
        let found = self.inner.client.wait(self.scroll_entities(naming(&[id]), true))?;
        let mut entities = found.into_iter().map(entity).collect::<Result<Vec<_>>>()?;
        self.in_order(&mut entities)?;
        Ok(entities)
    }

    /// Sorts entities by when they were made; those of other programs come last.
    pub(super) fn in_order(&self, entities: &mut [Entity]) -> Result<()> {
        let mut places = HashMap::new();
        snapshot(self.ledger(), |sql| {
            for entity in entities.iter() {
                let rows =
                    sql.query("SELECT seq FROM entities WHERE id = $1", &[super::tables::id_value(entity.id)])?;
                if let Some(row) = rows.first() {
                    places.insert(entity.id, row.int(0)?);
                }
            }
            Ok(())
        })?;
        entities.sort_by_key(|entity| (places.get(&entity.id).copied().unwrap_or(i64::MAX), entity.id));
        Ok(())
    }

    /// For each vector the nearest entities that carry the pinned ids.
    pub(super) fn near(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>> {
        let pinned = filter.scope();
        if pinned.is_contradiction() {
            return Ok(vec![Vec::new(); vectors.len()]);
        }
        if !pinned.any_pinned() {
            return Err(StoreError::InvalidScope("entities are searched within a user_id, agent_id or run_id".into()));
        }
        let within = carrying(&Scope::pinned_by(filter));
        let query = |vector: &Vec<f32>| {
            QueryPointsBuilder::new(&self.inner.collections.entities)
                .query(vector.clone())
                .filter(within.clone())
                .params(SearchParamsBuilder::default().exact(true))
                .score_threshold(min_score)
                .limit(limit as u64)
                .with_payload(true)
                .build()
        };
        let asked = QueryBatchPointsBuilder::new(
            &self.inner.collections.entities,
            vectors.iter().map(query).collect::<Vec<_>>(),
        )
        .build();
        let answer = self.inner.client.call("query", |node| node.query_batch(asked.clone()))?;
        let near = |list: qdrant_client::qdrant::BatchResult| {
            let near = |hit: qdrant_client::qdrant::ScoredPoint| {
                let own = payload(hit.payload);
                NearEntity { score: hit.score, text: own.text().to_owned(), memories: linked(&own) }
            };
            list.result.into_iter().map(near).collect()
        };
        Ok(answer.result.into_iter().map(near).collect())
    }
}
