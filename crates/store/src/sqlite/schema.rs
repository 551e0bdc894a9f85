//! The schema of a store's file, and the migration of older files.

use rusqlite::{Connection, Transaction, params};
use serde_json::Value;

use super::row::{id_at, payload_at, payload_text};
use crate::database::file::FileKind;
use crate::owners::OwnerFields;
use crate::{MemoryId, Payload, Result, StoreError, keys};

/// The difference between a schema version and the previous one.
struct Step {
    sql: &'static str,
    /// Fills new columns and tables from existing data.
    fill: fn(&Transaction<'_>) -> Result<()>,
}

/// Applied in order in one transaction. Released steps never change.
const STEPS: [Step; 4] = [
    Step { sql: FIRST, fill: |_| Ok(()) },
    Step { sql: DOCUMENTS_AND_OWNERS, fill: fill_owners },
    Step { sql: REEMBEDDED, fill: |_| Ok(()) },
    Step { sql: "", fill: move_fields },
];

const FIRST: &str = r#"
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES('bm25_documents', 0);

-- kind: 0 user, 1 agent, 2 run. version is incremented by every write to a memory of the scope.
CREATE TABLE scopes(
  id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
  UNIQUE(kind, value));
-- *_scope, of_*: id of the scope, 0 if there is none.
CREATE TABLE sessions(
  id INTEGER PRIMARY KEY, of_user INTEGER NOT NULL, of_agent INTEGER NOT NULL, of_run INTEGER NOT NULL,
  name TEXT NOT NULL, UNIQUE(of_user, of_agent, of_run, name));

-- id: 16 bytes of a UUID or 8 big-endian bytes of a number. Times in microseconds, days since 1970-01-01.
CREATE TABLE memories(
  slot INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
  user_scope INTEGER NOT NULL, agent_scope INTEGER NOT NULL, run_scope INTEGER NOT NULL,
  session INTEGER NOT NULL, position INTEGER, event_time INTEGER, day INTEGER, expires INTEGER,
  holds_time_word INTEGER NOT NULL, hash TEXT, payload TEXT NOT NULL);
CREATE INDEX memories_user ON memories(user_scope);
-- SQLite uses a partial index only for queries that contain its condition.
CREATE INDEX memories_scope ON memories(user_scope, agent_scope, run_scope) WHERE session <> 0;
CREATE INDEX memories_agent ON memories(agent_scope) WHERE agent_scope <> 0;
CREATE INDEX memories_run ON memories(run_scope) WHERE run_scope <> 0;
CREATE INDEX memories_session ON memories(session, position) WHERE session <> 0;
CREATE INDEX memories_hash ON memories(hash);
CREATE TABLE signals(slot INTEGER PRIMARY KEY, vector BLOB NOT NULL, bm25 BLOB NOT NULL, terms BLOB NOT NULL);
CREATE TABLE bm25_terms(term INTEGER PRIMARY KEY, documents INTEGER NOT NULL);

CREATE TABLE entities(
  slot INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
  user_scope INTEGER NOT NULL, agent_scope INTEGER NOT NULL, run_scope INTEGER NOT NULL,
  name TEXT NOT NULL, payload TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX entities_name ON entities(user_scope, agent_scope, run_scope, name);
CREATE INDEX entities_agent ON entities(agent_scope) WHERE agent_scope <> 0;
CREATE INDEX entities_run ON entities(run_scope) WHERE run_scope <> 0;
CREATE TABLE entity_links(entity INTEGER NOT NULL, memory BLOB NOT NULL, PRIMARY KEY(entity, memory)) WITHOUT ROWID;
CREATE INDEX entity_links_memory ON entity_links(memory);
CREATE TABLE links(
  source BLOB NOT NULL, target BLOB NOT NULL, kind TEXT NOT NULL, created_at TEXT NOT NULL,
  PRIMARY KEY(source, target, kind)) WITHOUT ROWID;
CREATE INDEX links_target ON links(target);

-- The two tables of mem0, with a sequence number for the order of insertion.
CREATE TABLE history(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, memory_id TEXT NOT NULL, old_memory TEXT,
  new_memory TEXT, event TEXT NOT NULL, created_at TEXT, updated_at TEXT, is_deleted INTEGER NOT NULL,
  actor_id TEXT, role TEXT);
CREATE INDEX history_memory ON history(memory_id);
CREATE TABLE messages(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, session_scope TEXT NOT NULL, role TEXT,
  content TEXT, name TEXT, created_at TEXT);
CREATE INDEX messages_session ON messages(session_scope);
"#;

const DOCUMENTS_AND_OWNERS: &str = r#"
-- due is in microseconds. Each index ends with seq, so that lists are read newest first without sorting.
CREATE TABLE documents(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT, due INTEGER,
  body TEXT NOT NULL, UNIQUE(kind, id));
CREATE INDEX documents_kind ON documents(kind);
CREATE INDEX documents_owner ON documents(owner, kind) WHERE owner IS NOT NULL;
CREATE INDEX documents_due ON documents(kind, due) WHERE due IS NOT NULL;

-- The owner of the memory; null if it was not recorded.
ALTER TABLE history ADD COLUMN user_id TEXT;
ALTER TABLE history ADD COLUMN agent_id TEXT;
ALTER TABLE history ADD COLUMN run_id TEXT;

-- Values of the payload that are text, and times that are valid. The index contains everything that counting owners needs.
ALTER TABLE memories ADD COLUMN app TEXT;
ALTER TABLE memories ADD COLUMN created_at TEXT;
ALTER TABLE memories ADD COLUMN updated_at TEXT;
CREATE INDEX memories_owners ON memories(user_scope, created_at, updated_at, app, agent_scope, run_scope);
"#;

const REEMBEDDED: &str = r#"
-- Vectors of the embedder that the store is being moved to (see `meta`), by the slot of their memory or entity. digest is
-- the SHA-256 of the embedded text. The tables have rows only during a move.
CREATE TABLE reembedded_memories(slot INTEGER PRIMARY KEY, digest BLOB NOT NULL, vector BLOB NOT NULL);
CREATE TABLE reembedded_entities(slot INTEGER PRIMARY KEY, digest BLOB NOT NULL, vector BLOB NOT NULL);
"#;

/// Memories in one query.
const BATCH: usize = 1000;

/// Calls `change` with every memory: its slot, id and payload.
fn each_memory(tx: &Transaction<'_>, change: impl Fn(i64, MemoryId, Payload) -> Result<()>) -> Result<()> {
    let mut last = i64::MIN;
    loop {
        let mut statement =
            tx.prepare_cached("SELECT slot, id, payload FROM memories WHERE slot > ? ORDER BY slot LIMIT ?")?;
        let mut rows = statement.query(params![last, BATCH as i64])?;
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(row) = rows.next()? {
            batch.push((row.get::<_, i64>(0)?, id_at(row, 1)?, payload_at(row, 2)?));
        }
        match batch.last() {
            Some((slot, ..)) => last = *slot,
            None => return Ok(()),
        }
        batch.into_iter().try_for_each(|(slot, id, payload)| change(slot, id, payload))?;
    }
}

/// Fills the columns that [`DOCUMENTS_AND_OWNERS`] adds: of memories, from their payloads, and of the history of existing
/// memories.
fn fill_owners(tx: &Transaction<'_>) -> Result<()> {
    each_memory(tx, |slot, id, payload| {
        // A later step moves the value to the key that is read today.
        let owner_fields = OwnerFields { app: payload.str("app_id"), ..OwnerFields::of(&payload) };
        tx.prepare_cached("UPDATE memories SET app = ?, created_at = ?, updated_at = ? WHERE slot = ?")?
            .execute(params![owner_fields.app, owner_fields.created_at, owner_fields.updated_at, slot])?;
        let scope = payload.scope();
        let [user, agent, run] = scope.ids();
        tx.prepare_cached("UPDATE history SET user_id = ?, agent_id = ?, run_id = ? WHERE memory_id = ?")?
            .execute(params![user, agent, run, id.to_string()])?;
        Ok(())
    })
}

/// Moves the fields of mem0's hosted API to separate keys. Until then their names were keys of the caller's metadata,
/// and their values were shown as the fields.
fn move_fields(tx: &Transaction<'_>) -> Result<()> {
    let is_field = |name: &str, value: &Value| match name {
        "app_id" => value.is_string(),
        "categories" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        _ => value.is_object(),
    };
    each_memory(tx, |slot, _, mut payload| {
        let mut is_changed = false;
        for (name, key) in [
            ("app_id", keys::APP_ID),
            ("categories", keys::CATEGORIES),
            ("structured_attributes", keys::STRUCTURED_ATTRIBUTES),
        ] {
            if let Some(value) = payload.as_map().get(name).filter(|value| is_field(name, value)).cloned() {
                payload.remove(name);
                payload.set(key, value);
                is_changed = true;
            }
        }
        if is_changed {
            tx.prepare_cached("UPDATE memories SET payload = ? WHERE slot = ?")?
                .execute(params![payload_text(&payload)?, slot])?;
        }
        Ok(())
    })
}

/// The newest schema version.
pub(super) const NEWEST: u32 = STEPS.len() as u32;

/// Updates the schema to [`NEWEST`].
pub(super) fn migrate(connection: &mut Connection, path: &std::path::Path) -> Result<()> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    if found > NEWEST {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: NEWEST });
    }
    for step in &STEPS[found as usize..] {
        tx.execute_batch(step.sql)?;
        (step.fill)(&tx)?;
    }
    if found < NEWEST {
        tx.pragma_update(None, "application_id", FileKind::Store.application_id())?;
        tx.pragma_update(None, "user_version", NEWEST)?;
    }
    tx.commit()?;
    Ok(())
}

fn version(tx: &Transaction<'_>) -> Result<u32> {
    Ok(tx.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
