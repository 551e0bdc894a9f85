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
use super::outbox::{Applied, deletion, selector, upsertion};
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
pub(super) fn linking(ids: &BTreeSet<MemoryId>) -> Json {
    let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    Json::from(texts)
}

/// Entities that one of these memories names.
fn naming(ids: &[MemoryId]) -> Remote {
    Remote::must([Condition::matches(LINKED, ids.iter().map(ToString::to_string).collect::<Vec<_>>())])
}

/// What the ledger knows of names, and how those are written that it does not know.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<(Scope, String), MemoryId>,
    unknown: Vec<(Scope, Vec<String>)>,
}

impl QdrantStore {
    /// What the ledger knows of the entities that changes name.
    pub(super) fn names(&self, changes: &[Change]) -> Result<Names> {
        let mut wanted: HashMap<Scope, HashMap<String, BTreeSet<String>>> = HashMap::new();
        for change in changes {
            let (Change::Insert(record) | Change::Replace(record)) = change else { continue };
            for mention in &record.mentions {
                let names = wanted.entry(record.memory.payload.scope()).or_default();
                names.entry(mention.text.to_lowercase()).or_default().insert(mention.text.clone());
            }
        }
        let mut names = Names::default();
        if wanted.is_empty() {
            return Ok(names);
        }
        snapshot(self.ledger(), |sql| {
            names = Names::default();
            for (scope, wanted) in &wanted {
                let ids = scope_ids(sql, scope)?;
                let mut unknown: Vec<String> = Vec::new();
                for (name, spellings) in wanted {
                    let rows = match ids {
                        Some([user, agent, run]) => sql.query(
                            "SELECT id FROM entities WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3
                             AND name = $4 ORDER BY seq LIMIT 1",
                            &[Value::Int(user), Value::Int(agent), Value::Int(run), super::tables::short(Some(name))],
                        )?,
                        None => Vec::new(),
                    };
                    match rows.first() {
                        Some(row) => drop(names.known.insert((scope.clone(), name.clone()), id_at(row, 0)?)),
                        None => unknown.extend(spellings.iter().chain([name]).cloned()),
                    }
                }
                if !unknown.is_empty() {
                    names.unknown.push((scope.clone(), unknown));
                }
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Entities by exact scope and lower-case name: those the ledger knows, and those that other programs made.
    pub(super) async fn named(&self, names: Names) -> Result<HashMap<(Scope, String), MemoryId>> {
        let mut known = names.known;
        for (scope, spellings) in names.unknown {
            for entity in self.spelled(&scope, spellings).await? {
                known.entry((scope.clone(), entity.text().to_lowercase())).or_insert(entity.id);
            }
        }
        Ok(known)
    }

    /// Entities of exactly this scope that are written in one of these ways.
    async fn spelled(&self, scope: &Scope, spellings: Vec<String>) -> Result<Vec<Entity>> {
        let mut filter = exactly(scope);
        filter.must.push(Condition::matches("data", spellings));
        self.scroll_entities(filter, false).await?.into_iter().map(entity).collect()
    }

    /// All entities that a filter matches.
    pub(super) async fn scroll_entities(&self, filter: Remote, with_vectors: bool) -> Result<Vec<RetrievedPoint>> {
        self.scroll_all(&self.inner.collections.entities, filter, true, with_vectors).await
    }

    /// The entities that plans concern, as they are. Another program may have removed one, and made one of that name under
    /// another id, in the same spelling or in lower case: which goes for which is told beside them.
    pub(super) async fn find_entities(&self, plans: &[&Plan]) -> Result<(Vec<Entity>, HashMap<MemoryId, MemoryId>)> {
        let mut found: HashMap<MemoryId, Entity> = HashMap::new();
        let mut instead = HashMap::new();
        let stripped: Vec<MemoryId> = plans.iter().flat_map(|plan| &plan.stripped).copied().collect();
        for ids in stripped.chunks(IDS_AT_ONCE) {
            for point in self.scroll_entities(naming(ids), false).await? {
                let entity = entity(point)?;
                found.insert(entity.id, entity);
            }
        }
        let old = plans.iter().flat_map(|plan| plan.entities.iter().filter(|entity| !plan.fresh.contains(&entity.id)));
        let ids: Vec<PointId> = old.map(|entity| point_id(entity.id)).collect();
        for ids in ids.chunks(IDS_AT_ONCE) {
            let asked =
                GetPointsBuilder::new(&self.inner.collections.entities, ids.to_vec()).with_payload(true).build();
            for point in self.inner.client.send("get", |node| node.get_points(asked.clone())).await?.result {
                let entity = entity(point)?;
                found.insert(entity.id, entity);
            }
        }
        let met = plans.iter().flat_map(|plan| plan.entities.iter().filter(|entity| plan.met.contains(&entity.id)));
        for missing in met.filter(|entity| !found.contains_key(&entity.id)).collect::<Vec<_>>() {
            let name = missing.text().to_lowercase();
            let spellings = vec![missing.text().to_owned(), name.clone()];
            let same = self.spelled(&missing.payload.scope(), spellings).await?.into_iter();
            if let Some(other) = same.filter(|other| other.text().to_lowercase() == name).min_by_key(|other| other.id) {
                instead.insert(missing.id, other.id);
                found.insert(other.id, other);
            }
        }
        Ok((found.into_values().collect(), instead))
    }

    /// Strips, links and makes entities; tells which nobody names any more, and went.
    pub(super) async fn perform_entities(
        &self,
        plans: &[&Plan],
        found: Vec<Entity>,
        instead: HashMap<MemoryId, MemoryId>,
    ) -> Result<Applied> {
        let stripped: HashSet<MemoryId> = plans.iter().flat_map(|plan| &plan.stripped).copied().collect();
        let mut there: HashMap<MemoryId, (BTreeSet<MemoryId>, BTreeSet<MemoryId>)> = HashMap::new();
        for entity in found {
            let before: BTreeSet<MemoryId> = entity.memories.into_iter().collect();
            let after = before.iter().copied().filter(|id| !stripped.contains(id)).collect();
            there.insert(entity.id, (before, after));
        }
        let mut made = Vec::new();
        for entity in plans.iter().flat_map(|plan| &plan.entities) {
            if let Some((_, after)) = there.get_mut(instead.get(&entity.id).unwrap_or(&entity.id)) {
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
        Ok(Applied { unnamed, instead })
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
