//! The database of the points that have been copied (`carried.db`), with the digest of each. The next sync pass, in
//! either direction, compares digests to find the changed points.
//!
//! The digest does not cover what the migration adds, so a memory has the same digest in the source and in the target.

mod history;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use mnemon_engine::ForeignPoint;
use mnemon_store::database::{Row, Sql, SqliteDatabase, Value, snapshot, transact};
use mnemon_store::{Durability, Entity, MemoryId, Mention, Payload, Record, Scope, StoreError, keys};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::error::Result;

/// The first half of a SHA-256 over vector and payload.
pub type Digest = [u8; 16];

const SCHEMA: &[&str] = &[
    "
CREATE TABLE carried(id {bytes} PRIMARY KEY, digest {bytes} NOT NULL) WITHOUT ROWID;
-- Entities and the memories that mention them: an entity is written with all its memories. changed: to be written.
CREATE TABLE names(entity {bytes} PRIMARY KEY, name {text} NOT NULL, kind {text} NOT NULL, scope {text} NOT NULL,
  changed BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX names_changed ON names(name, entity) WHERE changed = 1;
CREATE TABLE mentions(entity {bytes} NOT NULL, memory {bytes} NOT NULL, PRIMARY KEY(entity, memory)) WITHOUT ROWID;
CREATE INDEX mentions_memory ON mentions(memory);
",
    // entities: see `EntitiesOf`. Points of older versions that mention none are analysed once more.
    "
ALTER TABLE carried ADD COLUMN entities BIGINT NOT NULL DEFAULT 0;
UPDATE carried SET entities = 1 WHERE id IN (SELECT memory FROM mentions);
",
    // The rows that were imported from mem0's history database.
    "
CREATE TABLE history_rows(id {text} PRIMARY KEY) WITHOUT ROWID;
",
];

/// The digest of a memory without the lemmas that a migration adds. The order of the payload keys does not matter.
pub fn digest(payload: &Payload, vector: &[f32]) -> Digest {
    let mut hash = Sha256::new();
    for value in vector {
        hash.update(value.to_bits().to_le_bytes());
    }
    let mut text = Vec::new();
    let mut fields: Vec<(&String, &Json)> = payload.as_map().iter().collect();
    fields.retain(|(key, _)| *key != keys::TEXT_LEMMATIZED);
    write_object(&mut fields, &mut text);
    hash.update(&text);
    let whole: [u8; 32] = hash.finalize().into();
    let mut half = Digest::default();
    half.copy_from_slice(&whole[..16]);
    half
}

/// Appends an object with sorted keys.
fn write_object(fields: &mut [(&String, &Json)], text: &mut Vec<u8>) {
    fields.sort_unstable_by_key(|(key, _)| *key);
    text.push(b'{');
    for (key, value) in fields {
        text.extend(key.len().to_le_bytes());
        text.extend(key.as_bytes());
        write_value(value, text);
    }
    text.push(b'}');
}

fn write_value(value: &Json, text: &mut Vec<u8>) {
    match value {
        Json::Object(map) => write_object(&mut map.iter().collect::<Vec<_>>(), text),
        Json::Array(items) => {
            text.push(b'[');
            items.iter().for_each(|item| write_value(item, text));
            text.push(b']');
        }
        other => {
            // The end of a value is unambiguous: strings are quoted, and numbers and literals contain no comma.
            text.extend(other.to_string().as_bytes());
            text.push(b',');
        }
    }
}

/// Where the entities of a copied point are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntitiesOf {
    /// Nowhere: the point was copied without an embedder.
    Unknown = 0,
    /// Here, or in a target that builds them itself.
    Recorded = 1,
    /// Only in the target: another program has written the point there, with its entities.
    Target = 2,
}

/// The copied points and their entities, in a file in the migration's folder.
pub struct CarriedPoints {
    file: SqliteDatabase,
}

impl std::fmt::Debug for CarriedPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CarriedPoints").finish_non_exhaustive()
    }
}

impl CarriedPoints {
    /// Opens the file, and creates it if it is missing.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn open(file: &Path) -> Result<Self> {
        Ok(Self { file: SqliteDatabase::open(file, SCHEMA)? })
    }

    /// The number of copied points.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn count(&self) -> Result<u64> {
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query("SELECT count(*) FROM carried", &[])?;
            Ok(rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0).cast_unsigned())
        })?)
    }

    /// The digests of those of the points that have been copied.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Digest>> {
        Ok(snapshot(&self.file, |sql| {
            let mut found = HashMap::with_capacity(ids.len());
            for id in ids {
                let rows = sql.query("SELECT digest FROM carried WHERE id = $1", &[id_value(*id)])?;
                if let Some(row) = rows.first() {
                    found.insert(*id, digest_at(row, 0)?);
                }
            }
            Ok(found)
        })?)
    }

    /// Those of the copied points whose entities are known there.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn with_entities(&self, state: EntitiesOf, ids: &[MemoryId]) -> Result<HashSet<MemoryId>> {
        Ok(snapshot(&self.file, |sql| {
            let mut found = HashSet::new();
            for id in ids {
                let query = "SELECT 1 FROM carried WHERE id = $1 AND entities = $2";
                if !sql.query(query, &[id_value(*id), Value::Int(state as i64)])?.is_empty() {
                    found.insert(*id);
                }
            }
            Ok(found)
        })?)
    }

    /// The number of copied points whose entities are known there.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn count_with_entities(&self, state: EntitiesOf) -> Result<u64> {
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query("SELECT count(*) FROM carried WHERE entities = $1", &[Value::Int(state as i64)])?;
            Ok(rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0).cast_unsigned())
        })?)
    }

    /// A page of the copied points: ids after `after`, and their digests.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn page(&self, after: Option<MemoryId>, limit: usize) -> Result<Vec<(MemoryId, Digest)>> {
        let after = after.map(MemoryId::to_bytes).unwrap_or_default();
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query(
                "SELECT id, digest FROM carried WHERE id > $1 ORDER BY id LIMIT $2",
                &[Value::Bytes(after.clone()), Value::Int(limit as i64)],
            )?;
            rows.iter().map(|row| Ok((id_at(row, 0)?, digest_at(row, 1)?))).collect()
        })?)
    }

    /// Records points as copied. With [`EntitiesOf::Recorded`], also records the entities that the records mention.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn record(&self, digests: &[(MemoryId, Digest)], records: &[Record], entities: EntitiesOf) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for (id, digest) in digests {
                let values = [id_value(*id), Value::Bytes(digest.to_vec()), Value::Int(entities as i64)];
                let new = "INSERT INTO carried(id, digest, entities) VALUES($1, $2, $3) ON CONFLICT(id) DO NOTHING";
                if sql.execute(new, &values)? == 0 {
                    sql.execute("UPDATE carried SET digest = $2, entities = $3 WHERE id = $1", &values)?;
                    match entities {
                        EntitiesOf::Unknown => {}
                        EntitiesOf::Recorded => delete_mentions(sql, *id)?,
                        EntitiesOf::Target => forget_mentions(sql, *id)?,
                    }
                }
            }
            for record in records.iter().filter(|_| entities == EntitiesOf::Recorded) {
                let scope = record.memory.payload.scope();
                for mention in &record.mentions {
                    let entity = entity_id(&scope, &mention.text);
                    sql.execute(
                        "INSERT INTO names(entity, name, kind, scope, changed) VALUES($1, $2, $3, $4, 1)
                         ON CONFLICT(entity) DO UPDATE SET changed = 1",
                        &[
                            id_value(entity),
                            Value::Text(mention.text.clone()),
                            Value::Text(mention.kind.clone()),
                            Value::Text(Json::from(scope.ids().map(|id| id.map(str::to_owned)).to_vec()).to_string()),
                        ],
                    )?;
                    sql.execute(
                        "INSERT INTO mentions(entity, memory) VALUES($1, $2) ON CONFLICT(entity, memory) DO NOTHING",
                        &[id_value(entity), id_value(record.memory.id)],
                    )?;
                }
            }
            Ok(())
        })?)
    }

    /// Deletes the records of points that were removed from source and target.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn delete(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for id in ids {
                sql.execute("DELETE FROM carried WHERE id = $1", &[id_value(*id)])?;
                delete_mentions(sql, *id)?;
            }
            Ok(())
        })?)
    }

    /// Deletes all records.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn clear(&self) -> Result<()> {
        Ok(transact(&self.file, Durability::Synced, |sql| {
            for table in ["carried", "names", "mentions"] {
                sql.execute(&format!("DELETE FROM {table}"), &[])?;
            }
            Ok(())
        })?)
    }

    /// A page of the entities to write, sorted by name, beginning after `after`: with the ids of all memories that
    /// mention them, without vectors. An entity without memories is to be removed.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn changed_entities(&self, after: Option<&Entity>, limit: usize) -> Result<Vec<Entity>> {
        let (name, id) = after.map(|entity| (entity.text(), entity.id.to_bytes())).unwrap_or_default();
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query(
                "SELECT entity, name, kind, scope FROM names WHERE changed = 1 AND (name, entity) > ($1, $2)
                 ORDER BY name, entity LIMIT $3",
                &[Value::Text(name.to_owned()), Value::Bytes(id.clone()), Value::Int(limit as i64)],
            )?;
            let mut entities = Vec::with_capacity(rows.len());
            for row in &rows {
                let id = id_at(row, 0)?;
                let mention =
                    Mention { text: row.text(1)?.to_owned(), kind: row.text(2)?.to_owned(), vector: Vec::new() };
                let [user_id, agent_id, run_id]: [Option<String>; 3] =
                    serde_json::from_str(row.text(3)?).unwrap_or_default();
                let scope = Scope { user_id, agent_id, run_id };
                let memories = sql.query("SELECT memory FROM mentions WHERE entity = $1", &[id_value(id)])?;
                let memories = memories.iter().map(|row| id_at(row, 0)).collect::<Result<_, _>>()?;
                entities.push(Entity { memories, ..Entity::of_mention(id, &scope, &mention) });
            }
            Ok(entities)
        })?)
    }

    /// Records entities as written.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn mark_entities_written(&self, entities: &[Entity]) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for entity in entities {
                let delete = "DELETE FROM names WHERE entity = $1";
                let update = "UPDATE names SET changed = 0 WHERE entity = $1";
                sql.execute(if entity.memories.is_empty() { delete } else { update }, &[id_value(entity.id)])?;
            }
            Ok(())
        })?)
    }

    /// The number of entities to write.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be read or written.
    pub fn changed_entity_count(&self) -> Result<u64> {
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query("SELECT count(*) FROM names WHERE changed = 1", &[])?;
            Ok(rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0).cast_unsigned())
        })?)
    }
}

/// The digests of a page of points.
pub(crate) fn digests(points: &[ForeignPoint]) -> BTreeMap<MemoryId, Digest> {
    points.iter().map(|point| (point.id, digest(&point.payload, &point.vector))).collect()
}

fn delete_mentions(sql: &mut dyn Sql, memory: MemoryId) -> Result<(), StoreError> {
    sql.execute(
        "UPDATE names SET changed = 1 WHERE entity IN (SELECT entity FROM mentions WHERE memory = $1)",
        &[id_value(memory)],
    )?;
    forget_mentions(sql, memory)
}

/// Deletes the mentions of a memory. Its entities in the target are right, and are not written again for it.
fn forget_mentions(sql: &mut dyn Sql, memory: MemoryId) -> Result<(), StoreError> {
    sql.execute("DELETE FROM mentions WHERE memory = $1", &[id_value(memory)]).map(drop)
}

/// The id of an entity, made from its scope and name, so that writing an entity is idempotent.
pub(crate) fn entity_id(scope: &Scope, name: &str) -> MemoryId {
    let mut hash = Sha256::new();
    for id in scope.ids() {
        hash.update(id.map_or(u64::MAX, |id| id.len() as u64).to_le_bytes());
        hash.update(id.unwrap_or_default());
    }
    hash.update(name.to_lowercase());
    let whole: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    // Version 8 is for UUIDs in a custom format.
    MemoryId::Uuid(uuid::Builder::from_custom_bytes(half).into_uuid())
}

fn id_value(id: MemoryId) -> Value {
    Value::Bytes(id.to_bytes())
}

fn id_at(row: &Row, at: usize) -> Result<MemoryId, StoreError> {
    MemoryId::from_bytes(row.bytes(at)?).ok_or_else(|| StoreError::Corrupt("an id in carried.db".into()))
}

fn digest_at(row: &Row, at: usize) -> Result<Digest, StoreError> {
    let found = row.bytes(at)?;
    found.try_into().map_err(|_| StoreError::Corrupt("a digest in carried.db".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest_of(payload: Json) -> Digest {
        let Json::Object(map) = payload else { panic!("not an object") };
        digest(&Payload::new(map), &[1.0, -0.0])
    }

    #[test]
    fn digests_depend_on_values_but_not_on_key_order() {
        let one = digest_of(json!({"data": "x", "n": {"a": 1, "b": [1, 2]}}));
        assert_eq!(one, digest_of(json!({"n": {"b": [1, 2], "a": 1}, "text_lemmatized": "x", "data": "x"})));
        for other in [
            json!({"data": "x", "n": {"a": 1, "b": [12]}}),
            json!({"data": "x", "n": {"a": 1.0, "b": [1, 2]}}),
            json!({"data": "x", "n": {"a": "1", "b": [1, 2]}}),
            json!({"data": "x", "n": {"a": 1}, "b": [1, 2]}),
            json!({"data": "x", "n": {"a": 1, "b": [1, 2]}, "k": null}),
        ] {
            assert_ne!(one, digest_of(other));
        }
        assert_ne!(digest(&Payload::default(), &[0.0]), digest(&Payload::default(), &[-0.0]));
    }
}
