//! What was carried over, by id and digest: who comes back later, or comes from the other side, sees by it what changed.
//!
//! The digest leaves out what the migration adds, so that a memory has the same one on both sides.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mnemon_engine::ForeignPoint;
use mnemon_store::database::{Row, Sql, SqliteDatabase, Value, snapshot, transact};
use mnemon_store::{Durability, Entity, MemoryId, Payload, Record, SCOPE_KEYS, Scope, StoreError, keys};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::Result;

/// The first half of a SHA-256 over vector and payload.
pub type Digest = [u8; 16];

const SCHEMA: &[&str] = &["
CREATE TABLE carried(id {bytes} PRIMARY KEY, digest {bytes} NOT NULL) WITHOUT ROWID;
-- The entities that memories name, gathered here since one must be written with all of them. changed: not yet written so.
CREATE TABLE names(entity {bytes} PRIMARY KEY, name {text} NOT NULL, kind {text} NOT NULL, scope {text} NOT NULL,
  changed BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX names_changed ON names(name, entity) WHERE changed = 1;
CREATE TABLE mentions(entity {bytes} NOT NULL, memory {bytes} NOT NULL, PRIMARY KEY(entity, memory)) WITHOUT ROWID;
CREATE INDEX mentions_memory ON mentions(memory);
"];

/// The digest of a memory as its writer left it, whatever the order of its keys.
pub fn digest(payload: &Payload, vector: &[f32]) -> Digest {
    let mut hash = Sha256::new();
    for value in vector {
        hash.update(value.to_bits().to_le_bytes());
    }
    let mut text = Vec::new();
    let mut fields: Vec<(&String, &Json)> = payload.as_map().iter().collect();
    fields.retain(|(key, _)| *key != keys::TEXT_LEMMATIZED);
    canonical(&mut fields, &mut text);
    hash.update(&text);
    let whole: [u8; 32] = hash.finalize().into();
    let mut half = Digest::default();
    half.copy_from_slice(&whole[..16]);
    half
}

/// JSON with sorted keys.
fn canonical(fields: &mut [(&String, &Json)], text: &mut Vec<u8>) {
    fields.sort_unstable_by_key(|(key, _)| *key);
    text.push(b'{');
    for (key, value) in fields {
        text.extend(key.len().to_le_bytes());
        text.extend(key.as_bytes());
        written(value, text);
    }
    text.push(b'}');
}

fn written(value: &Json, text: &mut Vec<u8>) {
    match value {
        Json::Object(map) => canonical(&mut map.iter().collect::<Vec<_>>(), text),
        Json::Array(items) => {
            text.push(b'[');
            items.iter().for_each(|item| written(item, text));
            text.push(b']');
        }
        other => {
            // What ends a value is told by its kind: text is quoted, numbers and words hold no comma.
            text.extend(other.to_string().as_bytes());
            text.push(b',');
        }
    }
}

/// The table of what was carried over, in a file of the migration's folder.
pub struct CarriedPoints {
    file: SqliteDatabase,
}

impl std::fmt::Debug for CarriedPoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CarriedPoints").finish_non_exhaustive()
    }
}

impl CarriedPoints {
    /// Opens the table, or makes it.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn open(file: &Path) -> Result<Self> {
        Ok(Self { file: SqliteDatabase::open(file, SCHEMA)? })
    }

    /// How many memories were carried over.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn count(&self) -> Result<u64> {
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query("SELECT count(*) FROM carried", &[])?;
            Ok(rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0).cast_unsigned())
        })?)
    }

    /// The digests of those that were carried over.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Digest>> {
        Ok(snapshot(&self.file, |sql| {
            let mut found = HashMap::with_capacity(ids.len());
            for id in ids {
                let rows = sql.query("SELECT digest FROM carried WHERE id = $1", &[bytes(*id)])?;
                if let Some(row) = rows.first() {
                    found.insert(*id, digest_at(row, 0)?);
                }
            }
            Ok(found)
        })?)
    }

    /// A page of the ids that were carried over and their digests, those after `after`.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
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

    /// Notes what was carried over; of records that come along, the entities they name, where `names` says so.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn carried(&self, digests: &[(MemoryId, Digest)], records: &[Record], names: bool) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for (id, digest) in digests {
                let values = [bytes(*id), Value::Bytes(digest.to_vec())];
                let new = "INSERT INTO carried(id, digest) VALUES($1, $2) ON CONFLICT(id) DO NOTHING";
                if sql.execute(new, &values)? == 0 {
                    sql.execute("UPDATE carried SET digest = $2 WHERE id = $1", &values)?;
                    if names {
                        forget_mentions(sql, *id)?;
                    }
                }
            }
            for record in records.iter().filter(|_| names) {
                let scope = record.memory.payload.scope();
                for mention in &record.mentions {
                    let entity = entity_id(&scope, &mention.text);
                    sql.execute(
                        "INSERT INTO names(entity, name, kind, scope, changed) VALUES($1, $2, $3, $4, 1)
                         ON CONFLICT(entity) DO UPDATE SET changed = 1",
                        &[
                            bytes(entity),
                            Value::Text(mention.text.clone()),
                            Value::Text(mention.kind.clone()),
                            Value::Text(Json::from(scope.ids().map(|id| id.map(str::to_owned)).to_vec()).to_string()),
                        ],
                    )?;
                    sql.execute(
                        "INSERT INTO mentions(entity, memory) VALUES($1, $2) ON CONFLICT(entity, memory) DO NOTHING",
                        &[bytes(entity), bytes(record.memory.id)],
                    )?;
                }
            }
            Ok(())
        })?)
    }

    /// Notes that memories are gone on both sides.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn removed(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for id in ids {
                sql.execute("DELETE FROM carried WHERE id = $1", &[bytes(*id)])?;
                forget_mentions(sql, *id)?;
            }
            Ok(())
        })?)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn clear(&self) -> Result<()> {
        Ok(transact(&self.file, Durability::Synced, |sql| {
            for table in ["carried", "names", "mentions"] {
                sql.execute(&format!("DELETE FROM {table}"), &[])?;
            }
            Ok(())
        })?)
    }

    /// A page of the entities that must be written, by name, with all memories that name them, without vectors: those after
    /// `after`. Those that nobody names any more come without memories.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn changed_names(&self, after: Option<&Entity>, limit: usize) -> Result<Vec<Entity>> {
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
                let mut payload = Payload::default();
                payload.set(keys::DATA, row.text(1)?);
                payload.set("entity_type", row.text(2)?);
                let scope: Vec<Option<String>> = serde_json::from_str(row.text(3)?).unwrap_or_default();
                for (key, id) in SCOPE_KEYS.iter().zip(scope) {
                    if let Some(id) = id {
                        payload.set(key, id);
                    }
                }
                let memories = sql.query("SELECT memory FROM mentions WHERE entity = $1", &[bytes(id)])?;
                let memories = memories.iter().map(|row| id_at(row, 0)).collect::<Result<_, _>>()?;
                entities.push(Entity { id, payload, vector: Vec::new(), memories });
            }
            Ok(entities)
        })?)
    }

    /// Notes that entities were written.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn names_written(&self, entities: &[Entity]) -> Result<()> {
        Ok(transact(&self.file, Durability::Written, |sql| {
            for entity in entities {
                let gone = "DELETE FROM names WHERE entity = $1";
                let kept = "UPDATE names SET changed = 0 WHERE entity = $1";
                sql.execute(if entity.memories.is_empty() { gone } else { kept }, &[bytes(entity.id)])?;
            }
            Ok(())
        })?)
    }

    /// How many entities must be written.
    ///
    /// # Errors
    /// [`StoreError`] of the file.
    pub fn changed_count(&self) -> Result<u64> {
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

fn forget_mentions(sql: &mut dyn Sql, memory: MemoryId) -> Result<(), StoreError> {
    sql.execute(
        "UPDATE names SET changed = 1 WHERE entity IN (SELECT entity FROM mentions WHERE memory = $1)",
        &[bytes(memory)],
    )?;
    sql.execute("DELETE FROM mentions WHERE memory = $1", &[bytes(memory)]).map(drop)
}

/// An id that the same name in the same scope always has, so that writing an entity twice writes it once.
fn entity_id(scope: &Scope, name: &str) -> MemoryId {
    let mut hash = Sha256::new();
    for id in scope.ids() {
        hash.update(id.map_or(u64::MAX, |id| id.len() as u64).to_le_bytes());
        hash.update(id.unwrap_or_default());
    }
    hash.update(name.to_lowercase());
    let whole: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    // A UUID of version 8: of one's own making.
    MemoryId::Uuid(uuid::Builder::from_custom_bytes(half).into_uuid())
}

fn bytes(id: MemoryId) -> Value {
    Value::Bytes(id.to_bytes())
}

fn id_at(row: &Row, at: usize) -> Result<MemoryId, StoreError> {
    MemoryId::from_bytes(row.bytes(at)?).ok_or_else(|| StoreError::Corrupt("an id in the migration's table".into()))
}

fn digest_at(row: &Row, at: usize) -> Result<Digest, StoreError> {
    let found = row.bytes(at)?;
    found.try_into().map_err(|_| StoreError::Corrupt("a digest in the migration's table".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(payload: Json) -> Digest {
        let Json::Object(map) = payload else { panic!("an object") };
        digest(&Payload::new(map), &[1.0, -0.0])
    }

    #[test]
    fn a_digest_tells_what_differs_and_nothing_else() {
        let one = of(json!({"data": "x", "n": {"a": 1, "b": [1, 2]}}));
        assert_eq!(one, of(json!({"n": {"b": [1, 2], "a": 1}, "text_lemmatized": "x", "data": "x"})));
        for other in [
            json!({"data": "x", "n": {"a": 1, "b": [12]}}),
            json!({"data": "x", "n": {"a": 1.0, "b": [1, 2]}}),
            json!({"data": "x", "n": {"a": "1", "b": [1, 2]}}),
            json!({"data": "x", "n": {"a": 1}, "b": [1, 2]}),
            json!({"data": "x", "n": {"a": 1, "b": [1, 2]}, "k": null}),
        ] {
            assert_ne!(one, of(other));
        }
        assert_ne!(digest(&Payload::default(), &[0.0]), digest(&Payload::default(), &[-0.0]));
    }
}
