//! Reads of entities. Each entity is a point in the collection of entities, with the ids of the memories that mention it.

use std::collections::{BTreeSet, HashMap};

use qdrant_client::qdrant::{
    BatchResult, Condition, Filter as RemoteFilter, QueryBatchPointsBuilder, QueryPointsBuilder, RetrievedPoint,
    ScoredPoint, SearchParamsBuilder,
};

use super::codec::{LINKED_MEMORIES, entity, linked_memories, payload};
use super::inner::Inner;
use super::points::scroll_all;
use super::pushdown::{has_exact_scope, has_scope_ids};
use super::tables::{id_at, id_value, indexable_text, scope_ids};
use crate::database::{Value, snapshot};
use crate::{Change, Entity, Filter, MemoryId, NearEntity, Result, Scope, StoreError};

/// The filter for entities that one of these memories mentions.
pub(super) fn mentioned_by(ids: &[MemoryId]) -> RemoteFilter {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    RemoteFilter::must([Condition::matches(LINKED_MEMORIES, ids)])
}

/// The entities that a change set mentions: the ids of those in the ledger, and the spellings of the others.
#[derive(Default)]
pub(super) struct MentionedEntities {
    known: HashMap<(Scope, String), MemoryId>,
    unknown: Vec<(Scope, Vec<String>)>,
}

/// Looks up the entities that changes mention in the ledger.
pub(super) fn mentioned_entities(inner: &Inner, changes: &[Change]) -> Result<MentionedEntities> {
    let mut wanted: HashMap<Scope, HashMap<String, BTreeSet<String>>> = HashMap::new();
    for change in changes {
        let (Change::Insert(record) | Change::Replace(record)) = change else { continue };
        for mention in &record.mentions {
            let names = wanted.entry(record.memory.payload.scope()).or_default();
            names.entry(mention.text.to_lowercase()).or_default().insert(mention.text.clone());
        }
    }
    let mut mentioned = MentionedEntities::default();
    if wanted.is_empty() {
        return Ok(mentioned);
    }
    snapshot(inner.ledger(), |sql| {
        mentioned = MentionedEntities::default();
        for (scope, names) in &wanted {
            let ids = scope_ids(sql, scope)?;
            let mut unknown: Vec<String> = Vec::new();
            for (name, spellings) in names {
                let rows = match ids {
                    Some([user, agent, run]) => sql.query(
                        "SELECT id FROM entities WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3
                         AND name = $4 ORDER BY seq LIMIT 1",
                        &[Value::Int(user), Value::Int(agent), Value::Int(run), indexable_text(Some(name))],
                    )?,
                    None => Vec::new(),
                };
                match rows.first() {
                    Some(row) => drop(mentioned.known.insert((scope.clone(), name.clone()), id_at(row, 0)?)),
                    None => unknown.extend(spellings.iter().chain([name]).cloned()),
                }
            }
            if !unknown.is_empty() {
                mentioned.unknown.push((scope.clone(), unknown));
            }
        }
        Ok(())
    })?;
    Ok(mentioned)
}

/// The ids of mentioned entities by exact scope and lower-case name: those in the ledger, and those that other programs
/// created.
pub(super) async fn find_mentioned(
    inner: &Inner,
    mentioned: MentionedEntities,
) -> Result<HashMap<(Scope, String), MemoryId>> {
    let mut known = mentioned.known;
    for (scope, spellings) in mentioned.unknown {
        for entity in entities_with_names(inner, &scope, spellings).await? {
            known.entry((scope.clone(), entity.text().to_lowercase())).or_insert(entity.id);
        }
    }
    Ok(known)
}

/// The entities of exactly this scope with one of these spellings.
pub(super) async fn entities_with_names(inner: &Inner, scope: &Scope, spellings: Vec<String>) -> Result<Vec<Entity>> {
    let mut filter = has_exact_scope(scope);
    filter.must.push(Condition::matches("data", spellings));
    scroll_entities(inner, filter, false).await?.into_iter().map(entity).collect()
}

/// The points of all entities that a filter matches.
pub(super) async fn scroll_entities(
    inner: &Inner,
    filter: RemoteFilter,
    with_vectors: bool,
) -> Result<Vec<RetrievedPoint>> {
    scroll_all(inner, &inner.collections.entities, filter, true, with_vectors).await
}

pub(super) fn entities_of(inner: &Inner, id: MemoryId) -> Result<Vec<Entity>> {
    sorted_entities(inner, mentioned_by(&[id]))
}

/// All entities that a filter matches, sorted by their order of insertion. Entities of other programs are last.
pub(super) fn sorted_entities(inner: &Inner, filter: RemoteFilter) -> Result<Vec<Entity>> {
    let found = inner.client.wait(scroll_entities(inner, filter, true))?;
    let mut entities = found.into_iter().map(entity).collect::<Result<Vec<_>>>()?;
    let mut order = HashMap::new();
    snapshot(inner.ledger(), |sql| {
        for entity in &entities {
            let rows = sql.query("SELECT seq FROM entities WHERE id = $1", &[id_value(entity.id)])?;
            if let Some(row) = rows.first() {
                order.insert(entity.id, row.int(0)?);
            }
        }
        Ok(())
    })?;
    entities.sort_by_key(|entity| (order.get(&entity.id).copied().unwrap_or(i64::MAX), entity.id));
    Ok(entities)
}

pub(super) fn near_entities(
    inner: &Inner,
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
    let collection = &inner.collections.entities;
    let in_scope = has_scope_ids(&Scope::pinned_by(filter));
    let query = |vector: &Vec<f32>| {
        QueryPointsBuilder::new(collection)
            .query(vector.clone())
            .filter(in_scope.clone())
            .params(SearchParamsBuilder::default().exact(true))
            .score_threshold(min_score)
            .limit(limit as u64)
            .with_payload(true)
            .build()
    };
    let queries: Vec<_> = vectors.iter().map(query).collect();
    let request = QueryBatchPointsBuilder::new(collection, queries).build();
    let response = inner.client.call("query", |node| node.query_batch(request.clone()))?;
    let hits = |result: BatchResult| result.result.into_iter().map(near_entity).collect();
    Ok(response.result.into_iter().map(hits).collect())
}

fn near_entity(hit: ScoredPoint) -> NearEntity {
    let payload = payload(hit.payload);
    NearEntity { score: hit.score, text: payload.text().to_owned(), memories: linked_memories(&payload) }
}
