//! The ledger: what Qdrant can't hold, in tables that SQLite and Postgres keep alike.

use jiff::Timestamp;

use crate::database::{Row, Sql, Value};
use crate::ledger::DOCUMENTS;
use crate::payload::parse_time;
use crate::scope_index::{day_number, terms_to_blob};
use crate::stable_hash::fnv;
use crate::{
    HistoryEvent, Link, Memory, MemoryId, Payload, Provenance, Result, Scope, ScopeVersion, SessionMessage, StoreError,
    Terms, keys,
};

/// The steps of the ledger's schema. Steps that were released never change.
pub const LEDGER: &[&str] = &[DOCUMENTS, FIRST];

const FIRST: &str = "
CREATE TABLE meta(key {text} PRIMARY KEY, value {text} NOT NULL);

-- kind: 0 user, 1 agent, 2 run. version rises when a write is recorded and again when it is applied; applied only then.
-- What Qdrant should say of the scope: members points, of which ahead are touched after newest (microseconds).
CREATE TABLE scopes(
  id {serial}, kind BIGINT NOT NULL, value {text} NOT NULL, version BIGINT NOT NULL DEFAULT 0,
  applied BIGINT NOT NULL DEFAULT 0, members BIGINT NOT NULL DEFAULT 0, newest BIGINT NOT NULL DEFAULT 0,
  ahead BIGINT NOT NULL DEFAULT 0, UNIQUE(kind, value));
CREATE TABLE sessions(
  id {serial}, of_user BIGINT NOT NULL, of_agent BIGINT NOT NULL, of_run BIGINT NOT NULL, name {text} NOT NULL,
  UNIQUE(of_user, of_agent, of_run, name));

-- One row a point of the collection that was met: its place among all, and what ranking asks of it. rev differs after any
-- change. gone: another program deleted the point; its place is kept should it come back.
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

-- Entities by name within their exact scope, for those that were made or met here.
CREATE TABLE entities(
  seq {serial}, id {bytes} NOT NULL UNIQUE, user_scope BIGINT NOT NULL, agent_scope BIGINT NOT NULL,
  run_scope BIGINT NOT NULL, name {text} NOT NULL);
CREATE INDEX entities_name ON entities(user_scope, agent_scope, run_scope, name);
CREATE TABLE links(
  source {bytes} NOT NULL, target {bytes} NOT NULL, kind {text} NOT NULL, created_at {text} NOT NULL,
  PRIMARY KEY(source, target, kind));
CREATE INDEX links_target ON links(target);

-- mem0's two tables, with a sequence for the order rows came in and whose memory it was.
CREATE TABLE history(
  seq {serial}, id {text} NOT NULL UNIQUE, memory_id {text} NOT NULL, old_memory {text}, new_memory {text},
  event {text} NOT NULL, created_at {text}, updated_at {text}, is_deleted BIGINT NOT NULL, actor_id {text},
  role {text}, user_id {text}, agent_id {text}, run_id {text});
CREATE INDEX history_memory ON history(memory_id);
CREATE TABLE messages(
  seq {serial}, id {text} NOT NULL UNIQUE, session_scope {text} NOT NULL, role {text}, content {text}, name {text},
  created_at {text});

-- Writes that were accepted and not yet applied. keys: the scopes they hold, 8 bytes each.
CREATE TABLE outbox(seq {serial}, keys {bytes} NOT NULL, body {bytes} NOT NULL);
";

pub(super) fn id_value(id: MemoryId) -> Value {
    Value::Bytes(id.to_bytes())
}

pub(super) fn id_at(row: &Row, at: usize) -> Result<MemoryId> {
    MemoryId::from_bytes(row.bytes(at)?).ok_or_else(|| StoreError::Corrupt("a memory's id in the ledger".into()))
}

pub(super) fn opt_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// Text as it is compared and indexed: whole, or the beginning of a long one and its hash, since an index takes no long text.
pub(super) fn short(text: Option<&str>) -> Value {
    const LONGEST: usize = 400;
    let Some(text) = text else { return Value::Null };
    if text.len() <= LONGEST {
        return Value::Text(text.to_owned());
    }
    let (start, hash) = (&text[..text.floor_char_boundary(LONGEST)], fnv(text.bytes()));
    Value::Text(format!("{start}…{hash:016x}"))
}

fn opt_int(number: Option<i64>) -> Value {
    number.map_or(Value::Null, Value::Int)
}

/// "Carries this scope id", by kind, with the parameter's number.
pub(super) fn scope_is(kind: usize, parameter: usize) -> String {
    match kind {
        0 => format!("user_scope = ${parameter}"),
        1 => format!("(agent_scope = ${parameter} AND agent_scope <> 0)"),
        _ => format!("(run_scope = ${parameter} AND run_scope <> 0)"),
    }
}

/// What the ledger knows of one scope id.
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

/// The ids of a scope's three keys, 0 where there is none; `None` where one was never met.
pub(super) fn scope_ids(sql: &mut dyn Sql, scope: &Scope) -> Result<Option<[i64; 3]>> {
    let mut ids = [0; 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some(row) = scope_row(sql, kind, value)? else { return Ok(None) };
        ids[kind] = row.id;
    }
    Ok(Some(ids))
}

/// The same, each made where it is not there.
pub(super) fn make_scope_ids(sql: &mut dyn Sql, scope: &Scope) -> Result<[i64; 3]> {
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
    rows.first().ok_or_else(|| StoreError::Corrupt("the ledger returned no row".into()))?.int(0)
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

/// That scopes are still at these versions; [`StoreError::Conflict`] if not.
pub(super) fn expect_versions(sql: &mut dyn Sql, expected: &[(Scope, ScopeVersion)]) -> Result<()> {
    for (scope, version) in expected {
        if scope_version(sql, scope)? != *version {
            return Err(StoreError::Conflict);
        }
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

fn make_session_id(sql: &mut dyn Sql, scopes: &[i64; 3], name: &str) -> Result<i64> {
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

/// When a payload says it was last changed, or made, in microseconds.
pub(super) fn touched(payload: &Payload) -> Option<i64> {
    payload.str(keys::UPDATED_AT).and_then(parse_time).map(Timestamp::as_microsecond)
}

/// A row of the directory.
pub(super) struct Listed {
    pub(super) seq: i64,
    pub(super) scopes: [i64; 3],
    pub(super) session: i64,
    pub(super) touched: Option<i64>,
    pub(super) rev: i64,
}

/// Where a memory stands; `None` if it was never met or is gone.
pub(super) fn listed(sql: &mut dyn Sql, id: MemoryId) -> Result<Option<Listed>> {
    let rows = sql.query(
        "SELECT seq, user_scope, agent_scope, run_scope, session, touched, rev FROM memories WHERE id = $1 AND gone = 0",
        &[id_value(id)],
    )?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Listed {
        seq: row.int(0)?,
        scopes: [row.int(1)?, row.int(2)?, row.int(3)?],
        session: row.int(4)?,
        touched: row.opt_int(5)?,
        rev: row.int(6)?,
    }))
}

/// Writes a memory's row, new or over the old one, which keeps its place. Returns where it stands.
pub(super) fn list(
    sql: &mut dyn Sql,
    memory: &Memory,
    terms: &Terms,
    holds_time_word: bool,
    scopes: [i64; 3],
) -> Result<Listed> {
    let payload = &memory.payload;
    let session = match &memory.provenance.session {
        Some(name) => make_session_id(sql, &scopes, name)?,
        None => 0,
    };
    let day = memory.happened_at().map(|at| i64::from(day_number(at.to_zoned(jiff::tz::TimeZone::UTC).date())));
    let about = crate::owners::About::of(payload);
    let touched = touched(payload);
    let rev = uuid::Uuid::new_v4().as_u64_pair().0 as i64;
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
            opt_int(touched),
            opt_int(payload.created_at().map(Timestamp::as_microsecond)),
            Value::Int(i64::from(holds_time_word)),
            short(payload.str(keys::HASH)),
            opt_text(payload.actor()),
            opt_text(payload.role()),
            opt_text(about.app),
            opt_text(about.created_at),
            opt_text(about.updated_at),
            Value::Bytes(terms_to_blob(terms)),
        ],
    )?;
    Ok(Listed { seq: first_int(&rows)?, scopes, session, touched, rev })
}

/// Where in which conversation memories were said, by id; nothing for those that were never met.
pub(super) fn provenance(sql: &mut dyn Sql, id: MemoryId) -> Result<Provenance> {
    let rows = sql.query(
        "SELECT (SELECT name FROM sessions WHERE sessions.id = memories.session), position, event_time
         FROM memories WHERE id = $1",
        &[id_value(id)],
    )?;
    rows.first().map_or_else(|| Ok(Provenance::default()), |row| provenance_at(row, 0))
}

/// Session's name, position and event time in three columns.
pub(super) fn provenance_at(row: &Row, first: usize) -> Result<Provenance> {
    Ok(Provenance {
        session: row.opt_text(first)?.map(str::to_owned),
        position: row.opt_int(first + 1)?.and_then(|position| u32::try_from(position).ok()),
        event_time: row.opt_int(first + 2)?.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
    })
}

pub(super) fn link_at(row: &Row) -> Result<Link> {
    Ok(Link {
        source: id_at(row, 0)?,
        target: id_at(row, 1)?,
        kind: row.text(2)?.to_owned(),
        created_at: row.text(3)?.to_owned(),
    })
}

pub(super) fn insert_link(sql: &mut dyn Sql, link: &Link) -> Result<()> {
    sql.execute(
        "INSERT INTO links(source, target, kind, created_at) VALUES($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &[
            id_value(link.source),
            id_value(link.target),
            Value::Text(link.kind.clone()),
            Value::Text(link.created_at.clone()),
        ],
    )?;
    Ok(())
}

/// Columns [`event_at`] reads.
pub(super) const HISTORY: &str = "SELECT id, memory_id, old_memory, new_memory, event, created_at, updated_at,
                                  is_deleted, actor_id, role, user_id, agent_id, run_id FROM history";

pub(super) fn event_at(row: &Row) -> Result<HistoryEvent> {
    let own = |at: usize| -> Result<Option<String>> { Ok(row.opt_text(at)?.map(str::to_owned)) };
    Ok(HistoryEvent {
        id: row.text(0)?.to_owned(),
        memory_id: row.text(1)?.to_owned(),
        old_memory: own(2)?,
        new_memory: own(3)?,
        event: row.text(4)?.to_owned(),
        created_at: own(5)?,
        updated_at: own(6)?,
        is_deleted: row.int(7)? != 0,
        actor_id: own(8)?,
        role: own(9)?,
        scope: Scope { user_id: own(10)?, agent_id: own(11)?, run_id: own(12)? },
    })
}

pub(super) fn insert_history(sql: &mut dyn Sql, event: &HistoryEvent) -> Result<()> {
    sql.execute(
        "INSERT INTO history(id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, actor_id,
           role, user_id, agent_id, run_id) VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT(id) DO NOTHING",
        &[
            Value::Text(event.id.clone()),
            Value::Text(event.memory_id.clone()),
            opt_text(event.old_memory.as_deref()),
            opt_text(event.new_memory.as_deref()),
            Value::Text(event.event.clone()),
            opt_text(event.created_at.as_deref()),
            opt_text(event.updated_at.as_deref()),
            Value::Int(i64::from(event.is_deleted)),
            opt_text(event.actor_id.as_deref()),
            opt_text(event.role.as_deref()),
            opt_text(event.scope.user_id.as_deref()),
            opt_text(event.scope.agent_id.as_deref()),
            opt_text(event.scope.run_id.as_deref()),
        ],
    )?;
    Ok(())
}

pub(super) fn insert_message(sql: &mut dyn Sql, message: &SessionMessage) -> Result<()> {
    sql.execute(
        "INSERT INTO messages(id, session_scope, role, content, name, created_at) VALUES($1, $2, $3, $4, $5, $6)
         ON CONFLICT(id) DO NOTHING",
        &[
            Value::Text(message.id.clone()),
            Value::Text(message.session_scope.clone()),
            opt_text(message.role.as_deref()),
            opt_text(message.content.as_deref()),
            opt_text(message.name.as_deref()),
            opt_text(message.created_at.as_deref()),
        ],
    )?;
    Ok(())
}
