//! Reads: by id, by list, by session, and of the whole store.

use std::ops::ControlFlow;

use jiff::civil::Date;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::entities;
use super::open::SqliteOptions;
use super::row::{MEMORY_COLUMNS, STORED_MEMORY_COLUMNS, id_at, memory_at, parse_payload, stored_memory_at, to_usize};
use super::schema;
use super::scopes::{exact_scope, pinned_condition, scope_condition};
use crate::cursor;
use crate::database::file::size_with_log;
use crate::database::sqlite_snapshot;
use crate::scope_index::day_number;
use crate::shared_tables;
use crate::{
    ExportRecord, Filter, Memory, MemoryId, Page, PageRequest, Result, Scope, ScopeSummary, SessionWindow, StoreInfo,
    StoredMemory,
};

pub(super) fn info(connection: &Connection, options: &SqliteOptions) -> Result<StoreInfo> {
    let count = |table: &str| -> Result<usize> {
        Ok(to_usize(connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?))
    };
    Ok(StoreInfo {
        location: format!("sqlite:{}", options.path.display()),
        schema: schema::NEWEST,
        embedder: options.embedder.clone(),
        dims: options.dims,
        memories: count("memories")?,
        entities: count("entities")?,
        history: count("history")?,
        links: count("links")?,
        messages: count("messages")?,
        bytes: size_with_log(&options.path),
    })
}

/// The memories that the rest of the query selects.
fn select_memories(connection: &Connection, rest: &str, values: &[Value]) -> Result<Vec<Memory>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {MEMORY_COLUMNS} FROM memories m {rest}"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(memory_at(row)?);
    }
    Ok(found)
}

pub(super) fn get(connection: &Connection, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
    let one = |id: &MemoryId| Ok(select_memories(connection, "WHERE m.id = ?", &[Value::Blob(id.to_bytes())])?.pop());
    ids.iter().map(one).collect()
}

pub(super) fn get_stored(connection: &Connection, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STORED_MEMORY_COLUMNS} FROM memories m JOIN signals s ON s.slot = m.slot WHERE m.id = ?"
    ))?;
    let mut one = |id: &MemoryId| statement.query([id.to_bytes()])?.next()?.map(stored_memory_at).transpose();
    ids.iter().map(&mut one).collect()
}

/// The ids of all memories that a filter matches, oldest first.
pub(super) fn matching_ids(connection: &Connection, filter: Option<&Filter>) -> Result<Vec<MemoryId>> {
    let Some((condition, values)) = pinned_condition(connection, filter)? else { return Ok(Vec::new()) };
    let filter = filter.filter(|filter| !filter.is_scope_only());
    let columns = if filter.is_some() { MEMORY_COLUMNS } else { "m.slot, m.id" };
    let mut statement =
        connection.prepare(&format!("SELECT {columns} FROM memories m WHERE {condition} ORDER BY m.slot"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let matches = match filter {
            Some(filter) => memory_at(row)?.matches(filter),
            None => true,
        };
        if matches {
            ids.push(id_at(row, 1)?);
        }
    }
    Ok(ids)
}

/// Whether a filter matches the memory in a slot.
pub(super) fn slot_matches(connection: &Connection, filter: &Filter, slot: i64) -> Result<bool> {
    if filter.reads_origin() {
        let found = select_memories(connection, "WHERE m.slot = ?", &[Value::Integer(slot)])?;
        return Ok(found.first().is_some_and(|memory| memory.matches(filter)));
    }
    let mut statement = connection.prepare_cached("SELECT payload FROM memories WHERE slot = ?")?;
    let text: Option<String> = statement.query_row([slot], |found| found.get(0)).optional()?;
    match text {
        Some(text) => Ok(filter.matches(parse_payload(&text)?.as_map())),
        // It was deleted, or added after the snapshot began.
        None => Ok(false),
    }
}

/// Lists memories. The conditions of a filter that SQL can't express are evaluated on the payload of each row.
pub(super) fn list(
    connection: &Connection,
    filter: Option<&Filter>,
    today: Option<Date>,
    page: &PageRequest,
) -> Result<Page<Memory>> {
    let before = match &page.cursor {
        Some(cursor) => cursor::decode(cursor)?,
        None => i64::MAX,
    };
    let Some((mut condition, mut values)) = pinned_condition(connection, filter)? else {
        return Ok(Page { items: Vec::new(), total: 0, next: None });
    };
    if let Some(today) = today {
        condition.push_str(" AND (m.expires IS NULL OR m.expires >= ?)");
        values.push(Value::Integer(i64::from(day_number(today))));
    }
    let (mut items, total) = match filter.filter(|filter| !filter.is_scope_only()) {
        None => list_by_sql(connection, condition, values, before, page)?,
        Some(filter) => list_by_filter(connection, &condition, &values, filter, before, page)?,
    };
    let has_more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().filter(|_| has_more).map(|(slot, _)| cursor::encode(*slot));
    Ok(Page { items: items.into_iter().map(|(_, memory)| memory).collect(), total, next })
}

/// The slots and memories of a page and of one more item, and the total, if SQL expresses the whole filter.
fn list_by_sql(
    connection: &Connection,
    mut condition: String,
    mut values: Vec<Value>,
    before: i64,
    page: &PageRequest,
) -> Result<(Vec<(i64, Memory)>, usize)> {
    let total: i64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM memories m WHERE {condition}"))?
        .query_row(params_from_iter(&values), |row| row.get(0))?;
    condition.push_str(" AND m.slot < ?");
    values.push(Value::Integer(before));
    let (limit, offset) = (page.limit.saturating_add(1).min(1 << 40), page.offset.min(1 << 40));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {MEMORY_COLUMNS} FROM memories m WHERE {condition} ORDER BY m.slot DESC LIMIT {limit} OFFSET {offset}"
    ))?;
    let mut rows = statement.query(params_from_iter(&values))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push((row.get(0)?, memory_at(row)?));
    }
    Ok((items, to_usize(total)))
}

/// Same as [`list_by_sql`], if the filter must be evaluated on payloads.
fn list_by_filter(
    connection: &Connection,
    condition: &str,
    values: &[Value],
    filter: &Filter,
    before: i64,
    page: &PageRequest,
) -> Result<(Vec<(i64, Memory)>, usize)> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {MEMORY_COLUMNS} FROM memories m WHERE {condition} ORDER BY m.slot DESC"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut items, mut total, mut to_skip) = (Vec::new(), 0, page.offset);
    while let Some(row) = rows.next()? {
        let memory = memory_at(row)?;
        if !memory.matches(filter) {
            continue;
        }
        total += 1;
        let slot: i64 = row.get(0)?;
        if slot < before && to_skip > 0 {
            to_skip -= 1;
        } else if slot < before && items.len() <= page.limit {
            items.push((slot, memory));
        }
    }
    Ok((items, total))
}

pub(super) fn find_by_hash(
    connection: &Connection,
    scope: &Scope,
    hash: &str,
    today: Option<Date>,
) -> Result<Option<MemoryId>> {
    let Some(mut values) = exact_scope(connection, scope)? else { return Ok(None) };
    values.push(Value::Text(hash.to_owned()));
    values.push(Value::Integer(today.map_or(i64::MIN, |day| i64::from(day_number(day)))));
    let mut statement = connection.prepare_cached(
        "SELECT id FROM memories WHERE +user_scope = ? AND +agent_scope = ? AND +run_scope = ? AND hash = ?
         AND (expires IS NULL OR expires >= ?) ORDER BY slot LIMIT 1",
    )?;
    statement.query(params_from_iter(values))?.next()?.map(|row| id_at(row, 0)).transpose()
}

pub(super) fn session(
    connection: &Connection,
    scope: &Scope,
    session: &str,
    window: SessionWindow,
) -> Result<Vec<Memory>> {
    let Some(mut key) = exact_scope(connection, scope)? else { return Ok(Vec::new()) };
    key.push(Value::Text(session.to_owned()));
    let id: Option<i64> = connection
        .prepare_cached("SELECT id FROM sessions WHERE of_user = ? AND of_agent = ? AND of_run = ? AND name = ?")?
        .query_row(params_from_iter(key), |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(Vec::new()) };
    let before = |position: i64, count: usize| -> Result<Vec<Memory>> {
        let rest = format!(
            "WHERE m.session = ? AND m.session <> 0 AND m.position < ? ORDER BY m.position DESC, m.slot DESC LIMIT {count}"
        );
        let mut found = select_memories(connection, &rest, &[Value::Integer(id), Value::Integer(position)])?;
        found.reverse();
        Ok(found)
    };
    match window {
        SessionWindow::Last(count) => before(i64::MAX, count),
        SessionWindow::Around { position, before: count_before, after } => {
            let position = i64::from(position);
            let mut found = before(position, count_before)?;
            let rest = format!(
                "WHERE m.session = ? AND m.session <> 0 AND m.position > ? ORDER BY m.position, m.slot LIMIT {after}"
            );
            found.extend(select_memories(connection, &rest, &[Value::Integer(id), Value::Integer(position)])?);
            Ok(found)
        }
    }
}

pub(super) fn last_in_scope(connection: &Connection, scope: &Scope) -> Result<Option<Memory>> {
    let Some(values) = exact_scope(connection, scope)? else { return Ok(None) };
    let rest = "WHERE m.user_scope = ? AND m.agent_scope = ? AND m.run_scope = ? AND m.session <> 0
                ORDER BY m.slot DESC LIMIT 1";
    Ok(select_memories(connection, rest, &values)?.pop())
}

pub(super) fn summary(connection: &Connection, scope: &Scope) -> Result<ScopeSummary> {
    let Some((condition, values)) = scope_condition(connection, scope)? else { return Ok(ScopeSummary::default()) };
    let count = |sql: String| -> Result<usize> {
        let count = connection.prepare_cached(&sql)?.query_row(params_from_iter(&values), |row| row.get(0))?;
        Ok(to_usize(count))
    };
    // Sorted by instant, not by text: legacy times have offsets.
    let first_created = |order: &str| -> Result<Option<String>> {
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
        first: first_created("ASC")?,
        last: first_created("DESC")?,
    })
}

/// Visits the whole store in the snapshot of the connection.
pub(super) fn visit(connection: &Connection, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
    let mut statement = connection.prepare(&format!(
        "SELECT {STORED_MEMORY_COLUMNS} FROM memories m JOIN signals s ON s.slot = m.slot ORDER BY m.slot"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if visitor(ExportRecord::Memory(Box::new(stored_memory_at(row)?))).is_break() {
            return Ok(());
        }
    }
    let mut statement = connection.prepare(&format!("{} ORDER BY slot", entities::SELECT))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if visitor(ExportRecord::Entity(Box::new(entities::entity_at(connection, row)?))).is_break() {
            return Ok(());
        }
    }
    shared_tables::visit(|work| sqlite_snapshot(connection, work), visitor).map(drop)
}
