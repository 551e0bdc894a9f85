//! Entities and the memories that mention them.

use rusqlite::{Connection, Row, params_from_iter};

use super::row::{blob_at, id_at, parse_payload, payload_at, vector_at};
use super::scopes::scope_condition;
use crate::scope_index::{dot, inverse_norm, vector_from_blob};
use crate::{Entity, Filter, MemoryId, NearEntity, Result, Scope, StoreError};

/// A query for the columns that [`entity_at`] reads.
pub(super) const SELECT: &str = "SELECT slot, id, payload, vector FROM entities";

/// The entity in a row of [`SELECT`], with its memories.
pub(super) fn entity_at(connection: &Connection, row: &Row<'_>) -> Result<Entity> {
    Ok(Entity {
        id: id_at(row, 1)?,
        payload: payload_at(row, 2)?,
        vector: vector_at(row, 3)?,
        memories: memories_of(connection, row.get(0)?)?,
    })
}

fn memories_of(connection: &Connection, entity: i64) -> Result<Vec<MemoryId>> {
    let mut statement =
        connection.prepare_cached("SELECT memory FROM entity_links WHERE entity = ? ORDER BY memory")?;
    let mut rows = statement.query([entity])?;
    let mut memories = Vec::new();
    while let Some(row) = rows.next()? {
        memories.push(id_at(row, 0)?);
    }
    Ok(memories)
}

pub(super) fn entities_of(connection: &Connection, id: MemoryId) -> Result<Vec<Entity>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE slot IN (SELECT entity FROM entity_links WHERE memory = ?) ORDER BY slot"
    ))?;
    let mut rows = statement.query([id.to_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(entity_at(connection, row)?);
    }
    Ok(found)
}

pub(super) fn near_entities(
    connection: &Connection,
    filter: &Filter,
    vectors: &[Vec<f32>],
    limit: usize,
    min_score: f32,
) -> Result<Vec<Vec<NearEntity>>> {
    let mut hits: Vec<Vec<(f32, i64)>> = vec![Vec::new(); vectors.len()];
    let pinned = filter.scope();
    if !pinned.any_pinned() && !pinned.is_contradiction() {
        return Err(StoreError::InvalidScope("entities are searched within a user_id, agent_id or run_id".into()));
    }
    if !pinned.is_contradiction()
        && let Some((condition, values)) = scope_condition(connection, &Scope::pinned_by(filter))?
    {
        let scales: Vec<f32> = vectors.iter().map(|vector| inverse_norm(vector)).collect();
        let sql = format!("SELECT slot, vector FROM entities WHERE {condition} ORDER BY slot");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut vector = Vec::new();
        while let Some(row) = rows.next()? {
            vector.clear();
            vector_from_blob(blob_at(row, 1)?, &mut vector);
            let inverse = inverse_norm(&vector);
            for ((query, scale), hits) in vectors.iter().zip(&scales).zip(&mut hits) {
                let score = dot(&vector, query) * inverse * scale;
                if score >= min_score {
                    hits.push((score, row.get(0)?));
                }
            }
        }
    }
    hits.into_iter().map(|hits| best_entities(connection, hits, limit)).collect()
}

/// The best of the entities with these scores and slots.
fn best_entities(connection: &Connection, mut hits: Vec<(f32, i64)>, limit: usize) -> Result<Vec<NearEntity>> {
    hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    hits.truncate(limit);
    let mut statement = connection.prepare_cached("SELECT payload FROM entities WHERE slot = ?")?;
    let near_entity = |(score, slot)| {
        let payload: String = statement.query_row([slot], |row| row.get(0))?;
        let text = parse_payload(&payload)?.text().to_owned();
        Ok(NearEntity { score, text, memories: memories_of(connection, slot)? })
    };
    hits.into_iter().map(near_entity).collect()
}
