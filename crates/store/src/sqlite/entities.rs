//! Entities and the memories that name them.

use rusqlite::{Connection, Row, params_from_iter};

use crate::scope_index::{dot, inverse_norm, vector_from_blob};
use crate::{Entity, Filter, MemoryId, NearEntity, Result, Scope, StoreError};

/// Columns [`entity_at`] reads.
pub(super) const SELECT: &str = "SELECT slot, id, payload, vector FROM entities";

/// An entity with its links.
pub(super) fn entity_at(connection: &Connection, row: &Row<'_>) -> Result<Entity> {
    let mut vector = Vec::new();
    vector_from_blob(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?, &mut vector);
    Ok(Entity {
        id: super::read::id_at(row, 1)?,
        payload: super::read::payload(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
        vector,
        memories: memories_of(connection, row.get(0)?)?,
    })
}

fn memories_of(connection: &Connection, entity: i64) -> Result<Vec<MemoryId>> {
    let mut statement =
        connection.prepare_cached("SELECT memory FROM entity_links WHERE entity = ? ORDER BY memory")?;
    let rows = statement.query_map([entity], |row| super::read::id_at(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn of_memory(connection: &Connection, id: MemoryId) -> Result<Vec<Entity>> {
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

pub(super) fn near(
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
        && let Some((condition, values)) = super::read::scope_condition(connection, &Scope::pinned_by(filter))?
    {
        let scales: Vec<f32> = vectors.iter().map(|vector| inverse_norm(vector)).collect();
        let sql = format!("SELECT slot, vector FROM entities WHERE {condition} ORDER BY slot");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut vector = Vec::new();
        while let Some(row) = rows.next()? {
            vector.clear();
            vector_from_blob(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?, &mut vector);
            let inverse = inverse_norm(&vector);
            for ((asked, scale), hits) in vectors.iter().zip(&scales).zip(&mut hits) {
                let score = dot(&vector, asked) * inverse * scale;
                if score >= min_score {
                    hits.push((score, row.get(0)?));
                }
            }
        }
    }
    let with_links = |mut hits: Vec<(f32, i64)>| {
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        hits.truncate(limit);
        let mut statement = connection.prepare_cached("SELECT payload FROM entities WHERE slot = ?")?;
        let near = |(score, slot)| {
            let payload: String = statement.query_row([slot], |row| row.get(0))?;
            let text = super::read::payload(&payload)?.text().to_owned();
            Ok(NearEntity { score, text, memories: memories_of(connection, slot)? })
        };
        hits.into_iter().map(near).collect::<Result<Vec<_>>>()
    };
    hits.into_iter().map(with_links).collect()
}
