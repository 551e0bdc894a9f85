//! The tables of the ledger: what Qdrant can't hold. They are the same in SQLite and Postgres.

use jiff::Timestamp;

use crate::database::{Row, Sql, Value};
use crate::documents::DOCUMENTS_SCHEMA;
use crate::owners::OwnerFields;
use crate::payload::parse_time;
use crate::scope_index::{day_number, terms_to_blob};
use crate::stable_hash::fnv;
use crate::{Memory, MemoryId, Payload, Provenance, Result, Scope, ScopeVersion, StoreError, Terms, keys};

/// The steps of the ledger's schema. Released steps never change.
pub const LEDGER_SCHEMA: &[&str] = &[DOCUMENTS_SCHEMA, FIRST];

const FIRST: &str = "
CREATE TABLE meta(key {text} PRIMARY KEY, value {text} NOT NULL);

-- kind: 0 user, 1 agent, 2 run. version is incremented when a write is recorded and again when it is applied; applied only
-- when it is applied. members: points of the scope that Qdrant should have; ahead: those of them that were updated after
-- newest (microseconds).
CREATE TABLE scopes(
  id {serial}, kind BIGINT NOT NULL, value {text} NOT NULL, version BIGINT NOT NULL DEFAULT 0,
  applied BIGINT NOT NULL DEFAULT 0, members BIGINT NOT NULL DEFAULT 0, newest BIGINT NOT NULL DEFAULT 0,
  ahead BIGINT NOT NULL DEFAULT 0, UNIQUE(kind, value));
CREATE TABLE sessions(
  id {serial}, of_user BIGINT NOT NULL, of_agent BIGINT NOT NULL, of_run BIGINT NOT NULL, name {text} NOT NULL,
  UNIQUE(of_user, of_agent, of_run, name));

-- One row for each known point of the collection: its order of insertion, and the values that ranking needs. rev differs
-- after each change. gone: another program deleted the point; the row is kept in case the point is added again.
CREATE TABLE memories(
  seq {serial}, id {bytes} NOT NULL UNIQUE, rev BIGINT NOT NULL, gone BIGINT NOT NULL DEFAULT 0,
  user_scope BIGINT NOT NULL, agent_scope BIGINT NOT NULL, run_scope BIGINT NOT NULL, session BIGINT NOT NULL,
  position BIGINT, event_time BIGINT, day BIGINT, expires BIGINT, touched BIGINT, created BIGINT,
  time_word BIGINT NOT NULL, hash {text}, actor {text}, role {text}, app {text}, created_at {text}, updated_at {text},
  terms {bytes} NOT NULL);
CREATE INDEX memories_user ON memories(user_scope, seq) WHERE gone = 0;
CREATE INDEX memories_agent ON memories(agent_scope, seq) WHERE gone = 0 AND agent_scope <> 0;
CREATE INDEX memories_run ON memories(run_scope, seq) WHERE gone = 0 AND run_scope <> 0;
CREATE INDEX memories_session ON memories(session, position) WHERE session <> 0;
CREATE INDEX memories_hash ON memories(hash);
CREATE INDEX memories_touched ON memories(touched);

-- The known entities by name within their exact scope.
CREATE TABLE entities(
  seq {serial}, id {bytes} NOT NULL UNIQUE, user_scope BIGINT NOT NULL, agent_scope BIGINT NOT NULL,
  run_scope BIGINT NOT NULL, name {text} NOT NULL);
CREATE INDEX entities_name ON entities(user_scope, agent_scope, run_scope, name);
CREATE TABLE links(
  source {bytes} NOT NULL, target {bytes} NOT NULL, kind {text} NOT NULL, created_at {text} NOT NULL,
  PRIMARY KEY(source, target, kind));
CREATE INDEX links_target ON links(target);

-- The two tables of mem0, with a sequence number for the order of insertion and with the owner of the memory.
CREATE TABLE history(
  seq {serial}, id {text} NOT NULL UNIQUE, memory_id {text} NOT NULL, old_memory {text}, new_memory {text},
  event {text} NOT NULL, created_at {text}, updated_at {text}, is_deleted BIGINT NOT NULL, actor_id {text},
  role {text}, user_id {text}, agent_id {text}, run_id {text});
CREATE INDEX history_memory ON history(memory_id);
CREATE TABLE messages(
  seq {serial}, id {text} NOT NULL UNIQUE, session_scope {text} NOT NULL, role {text}, content {text}, name {text},
  created_at {text});

-- Accepted writes that are not applied yet. keys: the lock keys of their scopes, 8 bytes each.
CREATE TABLE outbox(seq {serial}, keys {bytes} NOT NULL, body {bytes} NOT NULL);
";

/// The condition for rows of existing memories; the point of any other row was deleted by another program.
pub(super) const EXISTS: &str = "gone = 0";

pub(super) fn id_value(id: MemoryId) -> Value {
    Value::Bytes(id.to_bytes())
}

pub(super) fn id_at(row: &Row, at: usize) -> Result<MemoryId> {
    MemoryId::from_bytes(row.bytes(at)?).ok_or_else(|| StoreError::Corrupt("the id of a memory in the ledger".into()))
}

pub(super) fn opt_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// A text for comparison and for an index, which can't hold long texts: a short text unchanged, or the beginning of a long
/// text and its hash.
pub(super) fn indexable_text(text: Option<&str>) -> Value {
    const MAX_LEN: usize = 400;
    let Some(text) = text else { return Value::Null };
    if text.len() <= MAX_LEN {
        return Value::Text(text.to_owned());
    }
    let (start, hash) = (&text[..text.floor_char_boundary(MAX_LEN)], fnv(text.bytes()));
    Value::Text(format!("{start}…{hash:016x}"))
}

fn opt_int(number: Option<i64>) -> Value {
    number.map_or(Value::Null, Value::Int)
}

/// Converts a count to a number of the database.
pub(super) fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A random revision.
pub(super) fn new_rev() -> i64 {
    uuid::Uuid::new_v4().as_u64_pair().0 as i64
}

/// The condition "has this scope id", by kind, with the number of its parameter.
pub(super) fn has_scope_id(kind: usize, parameter: usize) -> String {
    match kind {
        0 => format!("user_scope = ${parameter}"),
        1 => format!("(agent_scope = ${parameter} AND agent_scope <> 0)"),
        _ => format!("(run_scope = ${parameter} AND run_scope <> 0)"),
    }
}

/// The row of one scope id.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeRow {
    pub(super) id: i64,
    pub(super) version: i64,
    pub(super) applied: i64,
    pub(super) members: i64,
    pub(super) newest: i64,
    pub(super) ahead: i64,
}

pub(super) fn scope_row(sql: &mut dyn Sql, kind: usize, value: &str) -> Result<Option<ScopeRow>> {
    let rows = sql.query(
        "SELECT id, version, applied, members, newest, ahead FROM scopes WHERE kind = $1 AND value = $2",
        &[Value::Int(kind as i64), Value::Text(value.to_owned())],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(ScopeRow {
        id: row.int(0)?,
        version: row.int(1)?,
        applied: row.int(2)?,
        members: row.int(3)?,
        newest: row.int(4)?,
        ahead: row.int(5)?,
    }))
}

/// The ids of the three values of a scope, 0 for a missing value; `None` if the ledger does not know one of them.
pub(super) fn scope_ids(sql: &mut dyn Sql, scope: &Scope) -> Result<Option<[i64; 3]>> {
    let mut ids = [0; 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some(row) = scope_row(sql, kind, value)? else { return Ok(None) };
        ids[kind] = row.id;
    }
    Ok(Some(ids))
}

/// Same as [`scope_ids`]; missing rows are added.
pub(super) fn ensure_scope_ids(sql: &mut dyn Sql, scope: &Scope) -> Result<[i64; 3]> {
    let mut ids = [0; 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        ids[kind] = match scope_row(sql, kind, value)? {
            Some(row) => row.id,
            None => {
                let rows = sql.query(
                    "INSERT INTO scopes(kind, value) VALUES($1, $2)
                     ON CONFLICT(kind, value) DO UPDATE SET value = excluded.value RETURNING id",
                    &[Value::Int(kind as i64), Value::Text(value.to_owned())],
                )?;
                first_int(&rows)?
            }
        };
    }
    Ok(ids)
}

pub(super) fn first_int(rows: &[Row]) -> Result<i64> {
    rows.first().ok_or_else(|| StoreError::Corrupt("a query of the ledger returned no row".into()))?.int(0)
}

/// The first column of the first row as a count.
pub(super) fn first_count(rows: &[Row]) -> Result<usize> {
    Ok(usize::try_from(first_int(rows)?).unwrap_or(0))
}

pub(super) fn scope_version(sql: &mut dyn Sql, scope: &Scope) -> Result<ScopeVersion> {
    let mut version = ScopeVersion::default();
    for (kind, value) in scope.ids().into_iter().enumerate() {
        if let Some(value) = value {
            version.0[kind] = scope_row(sql, kind, value)?.map_or(0, |row| row.version);
        }
    }
    Ok(version)
}

/// Checks that scopes still have these versions; [`StoreError::Conflict`] if not.
pub(super) fn check_versions(sql: &mut dyn Sql, expected: &[(Scope, ScopeVersion)]) -> Result<()> {
    for (scope, version) in expected {
        if scope_version(sql, scope)? != *version {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

/// Increments the versions of scopes, so that readers load their changes.
pub(super) fn increment_versions(sql: &mut dyn Sql, scopes: impl IntoIterator<Item = i64>) -> Result<()> {
    for scope in scopes.into_iter().filter(|scope| *scope != 0) {
        sql.execute(
            "UPDATE scopes SET version = version + 1, applied = applied + 1 WHERE id = $1",
            &[Value::Int(scope)],
        )?;
    }
    Ok(())
}

pub(super) fn session_id(sql: &mut dyn Sql, scopes: &[i64; 3], name: &str) -> Result<Option<i64>> {
    let rows = sql.query(
        "SELECT id FROM sessions WHERE of_user = $1 AND of_agent = $2 AND of_run = $3 AND name = $4",
        &[Value::Int(scopes[0]), Value::Int(scopes[1]), Value::Int(scopes[2]), Value::Text(name.to_owned())],
    )?;
    rows.first().map(|row| row.int(0)).transpose()
}

fn ensure_session_id(sql: &mut dyn Sql, scopes: &[i64; 3], name: &str) -> Result<i64> {
    if let Some(id) = session_id(sql, scopes, name)? {
        return Ok(id);
    }
    let rows = sql.query(
        "INSERT INTO sessions(of_user, of_agent, of_run, name) VALUES($1, $2, $3, $4)
         ON CONFLICT(of_user, of_agent, of_run, name) DO UPDATE SET name = excluded.name RETURNING id",
        &[Value::Int(scopes[0]), Value::Int(scopes[1]), Value::Int(scopes[2]), Value::Text(name.to_owned())],
    )?;
    first_int(&rows)
}

/// The `updated_at` of a payload in microseconds.
pub(super) fn updated_micros(payload: &Payload) -> Option<i64> {
    payload.str(keys::UPDATED_AT).and_then(parse_time).map(Timestamp::as_microsecond)
}

/// The row of a memory, without the values that only ranking needs.
pub(super) struct MemoryRow {
    pub(super) seq: i64,
    pub(super) scopes: [i64; 3],
    pub(super) session: i64,
    pub(super) updated: Option<i64>,
    pub(super) rev: i64,
}

/// The row of a memory; `None` if the memory is unknown or deleted.
pub(super) fn memory_row(sql: &mut dyn Sql, id: MemoryId) -> Result<Option<MemoryRow>> {
    let rows = sql.query(
        &format!(
            "SELECT seq, user_scope, agent_scope, run_scope, session, touched, rev FROM memories
             WHERE id = $1 AND {EXISTS}"
        ),
        &[id_value(id)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(MemoryRow {
        seq: row.int(0)?,
        scopes: [row.int(1)?, row.int(2)?, row.int(3)?],
        session: row.int(4)?,
        updated: row.opt_int(5)?,
        rev: row.int(6)?,
    }))
}

/// Writes the row of a memory. An existing row keeps its sequence number.
pub(super) fn write_memory_row(
    sql: &mut dyn Sql,
    memory: &Memory,
    terms: &Terms,
    holds_time_word: bool,
    scopes: [i64; 3],
) -> Result<MemoryRow> {
    let payload = &memory.payload;
    let session = match &memory.provenance.session {
        Some(name) => ensure_session_id(sql, &scopes, name)?,
        None => 0,
    };
    let day = memory.happened_at().map(|at| i64::from(day_number(at.to_zoned(jiff::tz::TimeZone::UTC).date())));
    let owner_fields = OwnerFields::of(payload);
    let updated = updated_micros(payload);
    let rev = new_rev();
    let rows = sql.query(
        "INSERT INTO memories(id, rev, user_scope, agent_scope, run_scope, session, position, event_time, day, expires,
           touched, created, time_word, hash, actor, role, app, created_at, updated_at, terms)
         VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         ON CONFLICT(id) DO UPDATE SET rev = excluded.rev, gone = 0, user_scope = excluded.user_scope,
           agent_scope = excluded.agent_scope, run_scope = excluded.run_scope, session = excluded.session,
           position = excluded.position, event_time = excluded.event_time, day = excluded.day,
           expires = excluded.expires, touched = excluded.touched, created = excluded.created,
           time_word = excluded.time_word, hash = excluded.hash, actor = excluded.actor, role = excluded.role,
           app = excluded.app, created_at = excluded.created_at, updated_at = excluded.updated_at,
           terms = excluded.terms
         RETURNING seq",
        &[
            id_value(memory.id),
            Value::Int(rev),
            Value::Int(scopes[0]),
            Value::Int(scopes[1]),
            Value::Int(scopes[2]),
            Value::Int(session),
            opt_int(memory.provenance.position.map(i64::from)),
            opt_int(memory.provenance.event_time.map(Timestamp::as_microsecond)),
            opt_int(day),
            opt_int(payload.expiration_date().map(|date| i64::from(day_number(date)))),
            opt_int(updated),
            opt_int(payload.created_at().map(Timestamp::as_microsecond)),
            Value::Int(i64::from(holds_time_word)),
            indexable_text(payload.str(keys::HASH)),
            opt_text(payload.actor()),
            opt_text(payload.role()),
            opt_text(owner_fields.app),
            opt_text(owner_fields.created_at),
            opt_text(owner_fields.updated_at),
            Value::Bytes(terms_to_blob(terms)),
        ],
    )?;
    Ok(MemoryRow { seq: first_int(&rows)?, scopes, session, updated, rev })
}

/// Columns that [`provenance_at`] reads.
pub(super) const PROVENANCE_COLUMNS: &str =
    "(SELECT name FROM sessions WHERE sessions.id = memories.session), position, event_time";

/// The provenance of a memory; empty for an unknown memory.
pub(super) fn provenance(sql: &mut dyn Sql, id: MemoryId) -> Result<Provenance> {
    let rows = sql.query(&format!("SELECT {PROVENANCE_COLUMNS} FROM memories WHERE id = $1"), &[id_value(id)])?;
    rows.first().map_or_else(|| Ok(Provenance::default()), |row| provenance_at(row, 0))
}

/// The provenance in [`PROVENANCE_COLUMNS`], which start at this column.
pub(super) fn provenance_at(row: &Row, first: usize) -> Result<Provenance> {
    Ok(Provenance {
        session: row.opt_text(first)?.map(str::to_owned),
        position: row.opt_int(first + 1)?.and_then(|position| u32::try_from(position).ok()),
        event_time: row.opt_int(first + 2)?.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
    })
}
