//! The tables of a store's file, and how older files are brought up to date.

use rusqlite::{Connection, Transaction, params};

use crate::owners::About;
use crate::{Result, StoreError};

/// Marks an SQLite file as ours: "MNEM".
pub(super) const APPLICATION_ID: i32 = 0x4D4E_454D;

/// What one schema version adds to the one before.
struct Step {
    sql: &'static str,
    /// Fills what is new from what is there.
    fill: fn(&Transaction<'_>) -> Result<()>,
}

/// Applied in order inside one transaction. Steps that were released never change.
const STEPS: [Step; 3] = [
    Step { sql: FIRST, fill: |_| Ok(()) },
    Step { sql: DOCUMENTS_AND_OWNERS, fill: fill_owners },
    Step { sql: REEMBEDDED, fill: |_| Ok(()) },
];

const FIRST: &str = r#"
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES('bm25_documents', 0);

-- kind: 0 user, 1 agent, 2 run. version rises with every write that touches a memory of the scope.
CREATE TABLE scopes(
  id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
  UNIQUE(kind, value));
-- *_scope, of_*: id of the scope, 0 for none.
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
-- SQLite takes a partial index only for queries that repeat its condition.
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

-- mem0's two tables, with a sequence for the order rows came in.
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
-- due in microseconds. An index ends with the row's seq: both list the newest first without sorting.
CREATE TABLE documents(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT, due INTEGER,
  body TEXT NOT NULL, UNIQUE(kind, id));
CREATE INDEX documents_kind ON documents(kind);
CREATE INDEX documents_owner ON documents(owner, kind) WHERE owner IS NOT NULL;
CREATE INDEX documents_due ON documents(kind, due) WHERE due IS NOT NULL;

-- Whose memory it was; all null where nobody said.
ALTER TABLE history ADD COLUMN user_id TEXT;
ALTER TABLE history ADD COLUMN agent_id TEXT;
ALTER TABLE history ADD COLUMN run_id TEXT;

-- What the payload says, where it is text, and a time that is one. The index holds all that owners are counted by.
ALTER TABLE memories ADD COLUMN app TEXT;
ALTER TABLE memories ADD COLUMN created_at TEXT;
ALTER TABLE memories ADD COLUMN updated_at TEXT;
CREATE INDEX memories_owners ON memories(user_scope, created_at, updated_at, app, agent_scope, run_scope);
"#;

const REEMBEDDED: &str = r#"
-- Vectors of the embedder that the store is being moved to, which `meta` names, by the slot of what they are for; digest is
-- the SHA-256 of the text that was embedded. Empty but for the time of a move.
CREATE TABLE reembedded_memories(slot INTEGER PRIMARY KEY, digest BLOB NOT NULL, vector BLOB NOT NULL);
CREATE TABLE reembedded_entities(slot INTEGER PRIMARY KEY, digest BLOB NOT NULL, vector BLOB NOT NULL);
"#;

/// Memories read at a time.
const STRETCH: usize = 1000;

/// Copies from payloads what [`DOCUMENTS_AND_OWNERS`] gives a column: of memories, and to the history of those that are
/// still there.
fn fill_owners(tx: &Transaction<'_>) -> Result<()> {
    let mut last = i64::MIN;
    loop {
        let mut statement =
            tx.prepare_cached("SELECT slot, id, payload FROM memories WHERE slot > ? ORDER BY slot LIMIT ?")?;
        let mut rows = statement.query(params![last, STRETCH as i64])?;
        let mut read = Vec::with_capacity(STRETCH);
        while let Some(row) = rows.next()? {
            let payload = super::read::payload(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
            let id = super::read::id_at(row, 1)?;
            read.push((row.get::<_, i64>(0)?, id, payload));
        }
        for (slot, id, payload) in &read {
            let about = About::of(payload);
            tx.prepare_cached("UPDATE memories SET app = ?, created_at = ?, updated_at = ? WHERE slot = ?")?
                .execute(params![about.app, about.created_at, about.updated_at, slot])?;
            let scope = payload.scope();
            let [user, agent, run] = scope.ids();
            tx.prepare_cached("UPDATE history SET user_id = ?, agent_id = ?, run_id = ? WHERE memory_id = ?")?
                .execute(params![user, agent, run, id.to_string()])?;
        }
        match read.last() {
            Some((slot, ..)) => last = *slot,
            None => return Ok(()),
        }
    }
}

/// The newest schema version.
pub(super) const NEWEST: u32 = STEPS.len() as u32;

/// Brings the schema to [`NEWEST`].
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
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", NEWEST)?;
    }
    tx.commit()?;
    Ok(())
}

fn version(tx: &Transaction<'_>) -> Result<u32> {
    Ok(tx.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
