//! Reads by id, list and session, and everything at once.

use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::scope_index::{day_number, sparse_from_blob, vector_from_blob};
use crate::{
    ExportRecord, Filter, HistoryEvent, Link, Memory, MemoryId, Page, PageRequest, Payload, Provenance, Result, Scope,
    ScopeSummary, ScopeVersion, SessionMessage, SessionWindow, StoreError, StoredMemory,
};

/// Columns a [`Memory`] is made of, in the order [`memory_at`] reads them.
const MEMORY: &str =
    "m.slot, m.id, m.payload, m.position, m.event_time, (SELECT name FROM sessions WHERE sessions.id = m.session)";
const FROM_MEMORIES: &str = "FROM memories m";

pub(super) fn payload(text: &str) -> Result<Payload> {
    serde_json::from_str(text).map(Payload::new).map_err(|error| StoreError::Corrupt(format!("a payload: {error}")))
}

pub(super) fn payload_text(payload: &Payload) -> Result<String> {
    serde_json::to_string(payload.as_map()).map_err(|error| StoreError::Corrupt(format!("a payload: {error}")))
}

pub(super) fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<MemoryId> {
    let blob = row.get_ref(column)?.as_blob()?;
    MemoryId::from_bytes(blob).ok_or(rusqlite::Error::InvalidColumnType(
        column,
        "a memory's id".into(),
        rusqlite::types::Type::Blob,
    ))
}

fn memory_at(row: &Row<'_>) -> Result<Memory> {
    let time: Option<i64> = row.get(4)?;
    Ok(Memory {
        id: id_at(row, 1)?,
        payload: payload(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
        provenance: Provenance {
            session: row.get(5)?,
            position: row.get(3)?,
            event_time: time.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        },
    })
}

fn memories(connection: &Connection, tail: &str, values: &[Sql]) -> Result<Vec<Memory>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {MEMORY} {FROM_MEMORIES} {tail}"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(memory_at(row)?);
    }
    Ok(found)
}

/// The id of a scope's key and its version; `None` where nothing was ever stored for it.
pub(super) fn scope_id(connection: &Connection, kind: usize, value: &str) -> Result<Option<(i64, i64)>> {
    let mut statement = connection.prepare_cached("SELECT id, version FROM scopes WHERE kind = ? AND value = ?")?;
    Ok(statement.query_row(params![kind as i64, value], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

pub(super) fn scope_version(connection: &Connection, scope: &Scope) -> Result<ScopeVersion> {
    let mut version = ScopeVersion::default();
    for (kind, value) in scope.ids().into_iter().enumerate() {
        if let Some(value) = value {
            version.0[kind] = scope_id(connection, kind, value)?.map_or(0, |(_, version)| version);
        }
    }
    Ok(version)
}

/// "Carries this scope id", by kind, in words that let SQLite use the index of that kind.
pub(super) const SCOPE_IS: [&str; 3] =
    ["user_scope = ?", "(agent_scope = ? AND agent_scope <> 0)", "(run_scope = ? AND run_scope <> 0)"];

/// SQL for "carries all ids of this scope"; `None` where no memory can.
pub(super) fn scope_condition(connection: &Connection, scope: &Scope) -> Result<Option<(String, Vec<i64>)>> {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some((id, _)) = scope_id(connection, kind, value)? else { return Ok(None) };
        conditions.push(SCOPE_IS[kind]);
        values.push(id);
    }
    if conditions.is_empty() {
        return Err(StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into()));
    }
    Ok(Some((conditions.join(" AND "), values)))
}

/// SQL for "has exactly this scope".
fn exact_scope(connection: &Connection, scope: &Scope) -> Result<Option<Vec<Sql>>> {
    let mut values = vec![Sql::Integer(0); 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some((id, _)) = scope_id(connection, kind, value)? else { return Ok(None) };
        values[kind] = Sql::Integer(id);
    }
    Ok(Some(values))
}

pub(super) fn get(connection: &Connection, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
    let one = |id: &MemoryId| Ok(memories(connection, "WHERE m.id = ?", &[Sql::Blob(id.to_bytes())])?.pop());
    ids.iter().map(one).collect()
}

pub(super) fn get_stored(connection: &Connection, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {MEMORY}, s.vector, s.bm25 {FROM_MEMORIES} JOIN signals s ON s.slot = m.slot WHERE m.id = ?"
    ))?;
    let mut one = |id: &MemoryId| statement.query([id.to_bytes()])?.next()?.map(stored_at).transpose();
    ids.iter().map(&mut one).collect()
}

fn stored_at(row: &Row<'_>) -> Result<StoredMemory> {
    let mut vector = Vec::new();
    vector_from_blob(row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?, &mut vector);
    let bm25 = sparse_from_blob(row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?);
    Ok(StoredMemory { memory: memory_at(row)?, vector, bm25 })
}

/// SQL for what a filter pins; `None` where no memory can match.
fn pinned_condition(connection: &Connection, filter: Option<&Filter>) -> Result<Option<(String, Vec<Sql>)>> {
    let everything = Ok(Some(("1 = 1".to_owned(), Vec::new())));
    let Some(filter) = filter else { return everything };
    let pinned = filter.scope();
    if pinned.is_contradiction() {
        return Ok(None);
    }
    if !pinned.any_pinned() {
        return everything;
    }
    let condition = scope_condition(connection, &Scope::pinned_by(filter))?;
    Ok(condition.map(|(condition, ids)| (condition, ids.into_iter().map(Sql::Integer).collect())))
}

/// The ids of all memories a filter matches, oldest first.
pub(super) fn matching(connection: &Connection, filter: Option<&Filter>) -> Result<Vec<MemoryId>> {
    let Some((condition, values)) = pinned_condition(connection, filter)? else { return Ok(Vec::new()) };
    let filter = filter.filter(|filter| !filter.is_scope_only());
    let payload_column = if filter.is_some() { "payload" } else { "NULL" };
    let mut statement =
        connection.prepare(&format!("SELECT id, {payload_column} FROM memories WHERE {condition} ORDER BY slot"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let matches = match filter {
            Some(filter) => filter.matches(payload(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?.as_map()),
            None => true,
        };
        if matches {
            ids.push(id_at(row, 0)?);
        }
    }
    Ok(ids)
}

/// Whether a filter matches the payload of a slot.
pub(super) fn slot_matches(connection: &Connection, filter: &Filter, slot: i64) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT payload FROM memories WHERE slot = ?")?;
    // One that the snapshot does not have was deleted or added a moment ago.
    let text: Option<String> = statement.query_row([slot], |found| found.get(0)).optional()?;
    match text {
        Some(text) => Ok(filter.matches(payload(&text)?.as_map())),
        None => Ok(false),
    }
}

/// Newest first. What SQL can't decide of a filter is decided on the payload, row by row.
pub(super) fn list(
    connection: &Connection,
    filter: Option<&Filter>,
    today: Option<Date>,
    page: &PageRequest,
) -> Result<Page<Memory>> {
    let nothing = Page { items: Vec::new(), total: 0, next: None };
    let before = match &page.cursor {
        Some(cursor) => crate::cursor::decode(cursor)?,
        None => i64::MAX,
    };
    let Some((mut condition, mut values)) = pinned_condition(connection, filter)? else { return Ok(nothing) };
    if let Some(today) = today {
        condition.push_str(" AND (m.expires IS NULL OR m.expires >= ?)");
        values.push(Sql::Integer(i64::from(day_number(today))));
    }
    let filter = filter.filter(|filter| !filter.is_scope_only());
    let mut items: Vec<(i64, Memory)> = Vec::new();
    let mut total = 0usize;
    // SQL has skipped them already where it decides the whole filter.
    let mut to_skip = filter.map_or(0, |_| page.offset);
    let mut statement;
    let mut rows;
    if filter.is_none() {
        let count: i64 = connection
            .prepare_cached(&format!("SELECT count(*) FROM memories m WHERE {condition}"))?
            .query_row(params_from_iter(&values), |row| row.get(0))?;
        total = usize::try_from(count).unwrap_or(0);
        condition.push_str(" AND m.slot < ?");
        values.push(Sql::Integer(before));
        let (limit, skipped) = (page.limit.saturating_add(1).min(1 << 40), page.offset.min(1 << 40));
        condition.push_str(&format!(" ORDER BY m.slot DESC LIMIT {limit} OFFSET {skipped}"));
    } else {
        condition.push_str(" ORDER BY m.slot DESC");
    }
    statement = connection.prepare_cached(&format!("SELECT {MEMORY} {FROM_MEMORIES} WHERE {condition}"))?;
    rows = statement.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        let slot: i64 = row.get(0)?;
        if let Some(filter) = filter {
            let payload = payload(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
            if !filter.matches(payload.as_map()) {
                continue;
            }
            total += 1;
        }
        if slot < before && to_skip > 0 {
            to_skip -= 1;
        } else if slot < before && items.len() <= page.limit {
            items.push((slot, memory_at(row)?));
        }
    }
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().filter(|_| more).map(|(slot, _)| crate::cursor::encode(*slot));
    Ok(Page { items: items.into_iter().map(|(_, memory)| memory).collect(), total, next })
}

pub(super) fn find_by_hash(
    connection: &Connection,
    scope: &Scope,
    hash: &str,
    today: Option<Date>,
) -> Result<Option<MemoryId>> {
    let Some(mut values) = exact_scope(connection, scope)? else { return Ok(None) };
    values.push(Sql::Text(hash.to_owned()));
    values.push(Sql::Integer(today.map_or(i64::MIN, |day| i64::from(day_number(day)))));
    let mut statement = connection.prepare_cached(
        "SELECT id FROM memories WHERE +user_scope = ? AND +agent_scope = ? AND +run_scope = ? AND hash = ?
         AND (expires IS NULL OR expires >= ?) ORDER BY slot LIMIT 1",
    )?;
    Ok(statement.query_row(params_from_iter(values), |row| id_at(row, 0)).optional()?)
}

pub(super) fn session(
    connection: &Connection,
    scope: &Scope,
    session: &str,
    window: SessionWindow,
) -> Result<Vec<Memory>> {
    let Some(mut key) = exact_scope(connection, scope)? else { return Ok(Vec::new()) };
    key.push(Sql::Text(session.to_owned()));
    let id: Option<i64> = connection
        .prepare_cached("SELECT id FROM sessions WHERE of_user = ? AND of_agent = ? AND of_run = ? AND name = ?")?
        .query_row(params_from_iter(key), |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(Vec::new()) };
    let before = |position: i64, count: usize| -> Result<Vec<Memory>> {
        let tail = format!(
            "WHERE m.session = ? AND m.session <> 0 AND m.position < ? ORDER BY m.position DESC, m.slot DESC LIMIT {count}"
        );
        let mut found = memories(connection, &tail, &[Sql::Integer(id), Sql::Integer(position)])?;
        found.reverse();
        Ok(found)
    };
    match window {
        SessionWindow::Last(count) => before(i64::MAX, count),
        SessionWindow::Around { position, before: lower, after } => {
            let mut found = before(i64::from(position), lower)?;
            let tail = format!(
                "WHERE m.session = ? AND m.session <> 0 AND m.position > ? ORDER BY m.position, m.slot LIMIT {after}"
            );
            found.extend(memories(connection, &tail, &[Sql::Integer(id), Sql::Integer(i64::from(position))])?);
            Ok(found)
        }
    }
}

pub(super) fn last_in_scope(connection: &Connection, scope: &Scope) -> Result<Option<Memory>> {
    let Some(values) = exact_scope(connection, scope)? else { return Ok(None) };
    let tail = "WHERE m.user_scope = ? AND m.agent_scope = ? AND m.run_scope = ? AND m.session <> 0
                ORDER BY m.slot DESC LIMIT 1";
    Ok(memories(connection, tail, &values)?.pop())
}

pub(super) fn links_of(connection: &Connection, id: MemoryId) -> Result<Vec<Link>> {
    let mut statement = connection.prepare_cached(
        "SELECT source, target, kind, created_at FROM links WHERE source = ?1 OR target = ?1
         ORDER BY source, target, kind",
    )?;
    let rows = statement.query_map([id.to_bytes()], link_at)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn link_at(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link { source: id_at(row, 0)?, target: id_at(row, 1)?, kind: row.get(2)?, created_at: row.get(3)? })
}

const HISTORY: &str = "SELECT id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted,
                       actor_id, role, user_id, agent_id, run_id FROM history";

fn event_at(row: &Row<'_>) -> rusqlite::Result<HistoryEvent> {
    Ok(HistoryEvent {
        id: row.get(0)?,
        memory_id: row.get(1)?,
        old_memory: row.get(2)?,
        new_memory: row.get(3)?,
        event: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        is_deleted: row.get(7)?,
        actor_id: row.get(8)?,
        role: row.get(9)?,
        scope: Scope { user_id: row.get(10)?, agent_id: row.get(11)?, run_id: row.get(12)? },
    })
}

pub(super) fn history(connection: &Connection, memory_id: &str) -> Result<Vec<HistoryEvent>> {
    let mut statement = connection.prepare_cached(&format!("{HISTORY} WHERE memory_id = ? ORDER BY seq"))?;
    let rows = statement.query_map([memory_id], event_at)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn summary(connection: &Connection, scope: &Scope) -> Result<ScopeSummary> {
    let Some((condition, values)) = scope_condition(connection, scope)? else { return Ok(ScopeSummary::default()) };
    let values: Vec<Sql> = values.into_iter().map(Sql::Integer).collect();
    let count = |sql: String| -> Result<usize> {
        let count: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(&values), |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(0))
    };
    // By instant, not by text: legacy times carry offsets.
    let edge = |order: &str| -> Result<Option<String>> {
        let sql = format!(
            "SELECT payload ->> '$.created_at' FROM memories WHERE {condition}
             AND json_type(payload, '$.created_at') = 'text' AND unixepoch(payload ->> '$.created_at') IS NOT NULL
             ORDER BY unixepoch(payload ->> '$.created_at', 'subsec') {order} LIMIT 1"
        );
        Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(&values), |row| row.get(0)).optional()?)
    };
    Ok(ScopeSummary {
        memories: count(format!("SELECT count(*) FROM memories WHERE {condition}"))?,
        entities: count(format!("SELECT count(*) FROM entities WHERE {condition}"))?,
        links: count(format!(
            "SELECT count(*) FROM links l JOIN memories ON memories.id = l.source WHERE {condition}"
        ))?,
        first: edge("ASC")?,
        last: edge("DESC")?,
    })
}

fn message_at(row: &Row<'_>) -> rusqlite::Result<SessionMessage> {
    Ok(SessionMessage {
        id: row.get(0)?,
        session_scope: row.get(1)?,
        role: row.get(2)?,
        content: row.get(3)?,
        name: row.get(4)?,
        created_at: row.get(5)?,
    })
}

/// Makes a piece of a row.
type ReadPiece<'r> = &'r dyn Fn(&Row<'_>) -> Result<ExportRecord>;

/// Everything, in the connection's snapshot.
pub(super) fn visit(connection: &Connection, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
    let sql =
        format!("SELECT {MEMORY}, s.vector, s.bm25 {FROM_MEMORIES} JOIN signals s ON s.slot = m.slot ORDER BY m.slot");
    let mut each = |sql: &str, piece: ReadPiece<'_>| -> Result<ControlFlow<()>> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if visitor(piece(row)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    let entities = format!("{} ORDER BY slot", super::entities::SELECT);
    let links = "SELECT source, target, kind, created_at FROM links ORDER BY source, target, kind";
    let history = format!("{HISTORY} ORDER BY seq");
    let messages = "SELECT id, session_scope, role, content, name, created_at FROM messages ORDER BY seq";
    let kinds: [(&str, ReadPiece<'_>); 5] = [
        (&sql, &|row| Ok(ExportRecord::Memory(Box::new(stored_at(row)?)))),
        (&entities, &|row| Ok(ExportRecord::Entity(Box::new(super::entities::entity_at(connection, row)?)))),
        (links, &|row| Ok(ExportRecord::Link(link_at(row)?))),
        (&history, &|row| Ok(ExportRecord::History(Box::new(event_at(row)?)))),
        (messages, &|row| Ok(ExportRecord::Message(Box::new(message_at(row)?)))),
    ];
    for (sql, piece) in kinds {
        if each(sql, piece)?.is_break() {
            break;
        }
    }
    Ok(())
}
