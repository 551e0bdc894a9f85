//! Reads: by id, by list, by session, and of the whole store.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::civil::Date;
use qdrant_client::qdrant::{Filter as RemoteFilter, RetrievedPoint};

use super::codec::{payload, vectors};
use super::entities::sorted_entities;
use super::external_changes::ensure_recorded;
use super::inner::{Inner, start};
use super::outbox::apply_unapplied;
use super::point_set::PointSet;
use super::points::{count_points, fetch, fetch_points, matching_ids};
use super::provenances::provenances;
use super::pushdown::has_scope_ids;
use super::tables::{
    EXISTS, LEDGER_SCHEMA, first_count, has_scope_id, id_at, indexable_text, scope_ids, scope_row, session_id, to_i64,
};
use crate::cursor;
use crate::database::{Sql, Value, snapshot};
use crate::forms::id_forms;
use crate::owners::{OwnerCounts, OwnerFields};
use crate::scope_index::day_number;
use crate::shared_tables;
use crate::{
    ExportRecord, Filter, Memory, MemoryId, Owner, Page, PageRequest, Provenance, Result, Scope, ScopeSummary,
    SessionWindow, StoreError, StoreInfo, StoredMemory,
};

/// Memories in one query of [`visit`].
const BATCH: usize = 500;

pub(super) fn info(inner: &Inner) -> Result<StoreInfo> {
    let [history, links, messages] = snapshot(inner.ledger(), |sql| {
        let mut count = |table: &str| first_count(&sql.query(&format!("SELECT count(*) FROM {table}"), &[])?);
        Ok([count("history")?, count("links")?, count("messages")?])
    })?;
    let collections = &inner.collections;
    Ok(StoreInfo {
        location: inner.location(),
        schema: LEDGER_SCHEMA.len() as u32,
        embedder: inner.embedder.clone(),
        dims: inner.dims,
        memories: count_points(inner, &collections.memories, RemoteFilter::default())?,
        entities: count_points(inner, &collections.entities, RemoteFilter::default())?,
        history,
        links,
        messages,
        bytes: inner.ledger.bytes(),
    })
}

pub(super) fn get(inner: &Arc<Inner>, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    apply_unapplied(inner)?;
    let distinct: BTreeSet<MemoryId> = ids.iter().copied().collect();
    let fetching = start(inner, |inner| async move { fetch_points(&inner, distinct, true, false).await });
    let provenances = provenances(inner, ids)?;
    let points = inner.client.finish(fetching)?;
    let one = |id: &MemoryId| Some(memory(*id, points.get(id)?, provenances.get(id)));
    Ok(ids.iter().map(one).collect())
}

pub(super) fn get_stored(inner: &Inner, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
    apply_unapplied(inner)?;
    let mut points = fetch(inner, ids, true, true)?;
    let provenances = provenances(inner, ids)?;
    let one = |id: &MemoryId| {
        let point = points.remove(id)?;
        let memory = memory(*id, &point, provenances.get(id));
        let (vector, bm25) = vectors(point.vectors);
        Some(StoredMemory { memory, vector, bm25 })
    };
    Ok(ids.iter().map(one).collect())
}

/// Those of the memories that exist, in this order.
fn get_existing(inner: &Arc<Inner>, ids: &[MemoryId]) -> Result<Vec<Memory>> {
    Ok(get(inner, ids)?.into_iter().flatten().collect())
}

pub(super) fn list(
    inner: &Arc<Inner>,
    filter: Option<&Filter>,
    today: Option<Date>,
    page: &PageRequest,
) -> Result<Page<Memory>> {
    let empty = Page { items: Vec::new(), total: 0, next: None };
    let before = match &page.cursor {
        Some(cursor) => cursor::decode(cursor)?,
        None => i64::MAX,
    };
    if filter.is_some_and(|filter| filter.scope().is_contradiction()) {
        return Ok(empty);
    }
    let scope = filter.map(Scope::pinned_by).unwrap_or_default();
    ensure_recorded(inner, PointSet::of_scope(&scope))?;
    let conditions = filter.filter(|filter| !filter.is_scope_only());
    let matching = conditions.map(|filter| matching_ids(inner, filter)).transpose()?;
    let found = snapshot(inner.ledger(), |sql| {
        let Some((mut condition, mut values)) = scope_condition(sql, &scope)? else { return Ok(None) };
        if let Some(today) = today {
            values.push(Value::Int(i64::from(day_number(today))));
            condition.push_str(&format!(" AND (expires IS NULL OR expires >= ${})", values.len()));
        }
        match &matching {
            None => list_by_sql(sql, &condition, values, before, page).map(Some),
            Some(matching) => list_by_ids(sql, &condition, &values, matching, before, page).map(Some),
        }
    })?;
    let Some((mut rows, total)) = found else { return Ok(empty) };
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let next = rows.last().filter(|_| has_more).map(|(seq, _)| cursor::encode(*seq));
    let ids: Vec<MemoryId> = rows.into_iter().map(|(_, id)| id).collect();
    let mut items = get_existing(inner, &ids)?;
    // The owner of a memory may have changed after the ledger was read.
    items.retain(|memory| filter.is_none_or(|filter| memory.matches(filter)));
    Ok(Page { items, total, next })
}

/// The sequence numbers and ids of a page and of one more item, and the total, if SQL expresses the whole filter.
fn list_by_sql(
    sql: &mut dyn Sql,
    condition: &str,
    mut values: Vec<Value>,
    before: i64,
    page: &PageRequest,
) -> Result<(Vec<(i64, MemoryId)>, usize)> {
    let count = sql.query(&format!("SELECT count(*) FROM memories WHERE {condition}"), &values)?;
    values.extend([before, to_i64(page.limit.saturating_add(1)), to_i64(page.offset)].map(Value::Int));
    let last = values.len();
    let query = format!(
        "SELECT seq, id FROM memories WHERE {condition} AND seq < ${} ORDER BY seq DESC LIMIT ${} OFFSET ${last}",
        last - 2,
        last - 1
    );
    let rows = sql.query(&query, &values)?;
    let rows = rows.iter().map(|row| Ok((row.int(0)?, id_at(row, 1)?))).collect::<Result<_>>()?;
    Ok((rows, first_count(&count)?))
}

/// Same as [`list_by_sql`], for the memories with these ids.
fn list_by_ids(
    sql: &mut dyn Sql,
    condition: &str,
    values: &[Value],
    matching: &HashSet<MemoryId>,
    before: i64,
    page: &PageRequest,
) -> Result<(Vec<(i64, MemoryId)>, usize)> {
    let query = format!("SELECT seq, id FROM memories WHERE {condition} ORDER BY seq DESC");
    let (mut rows, mut total, mut to_skip) = (Vec::new(), 0, page.offset);
    for row in sql.query(&query, values)? {
        let (seq, id) = (row.int(0)?, id_at(&row, 1)?);
        if !matching.contains(&id) {
            continue;
        }
        total += 1;
        if seq < before && to_skip > 0 {
            to_skip -= 1;
        } else if seq < before && rows.len() <= page.limit {
            rows.push((seq, id));
        }
    }
    Ok((rows, total))
}

/// The first of the forms of an id that a memory has, also one that another program wrote.
pub(super) fn known_form(inner: &Inner, kind: usize, id: &str) -> Result<Option<String>> {
    for form in id_forms(id) {
        if snapshot(inner.ledger(), |sql| scope_row(sql, kind, &form))?.is_some_and(|row| row.members > 0)
            || count_points(inner, &inner.collections.memories, PointSet::WithScopeId(kind, &form).filter())? > 0
        {
            return Ok(Some(form));
        }
    }
    Ok(None)
}

pub(super) fn find_by_hash(inner: &Inner, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
    snapshot(inner.ledger(), |sql| {
        let Some(ids) = scope_ids(sql, scope)? else { return Ok(None) };
        let query = format!(
            "SELECT id FROM memories WHERE hash = $1 AND {EXISTS} AND user_scope = $2 AND agent_scope = $3
             AND run_scope = $4 AND (expires IS NULL OR expires >= $5) ORDER BY seq LIMIT 1"
        );
        let rows = sql.query(
            &query,
            &[
                indexable_text(Some(hash)),
                Value::Int(ids[0]),
                Value::Int(ids[1]),
                Value::Int(ids[2]),
                Value::Int(today.map_or(i64::MIN, |day| i64::from(day_number(day)))),
            ],
        )?;
        rows.first().map(|row| id_at(row, 0)).transpose()
    })
}

pub(super) fn session(inner: &Arc<Inner>, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
    let ids = snapshot(inner.ledger(), |sql| {
        let Some(scopes) = scope_ids(sql, scope)? else { return Ok(Vec::new()) };
        let Some(session) = session_id(sql, &scopes, session)? else { return Ok(Vec::new()) };
        session_memories(sql, session, window)
    })?;
    let mut memories = get_existing(inner, &ids)?;
    memories.retain(|memory| memory.payload.scope() == *scope);
    Ok(memories)
}

pub(super) fn last_in_scope(inner: &Arc<Inner>, scope: &Scope) -> Result<Option<Memory>> {
    Ok(last_session(inner, scope, 0)?.map(|(last, _)| last))
}

pub(super) fn last_session(inner: &Arc<Inner>, scope: &Scope, count: usize) -> Result<Option<(Memory, Vec<Memory>)>> {
    let ids = snapshot(inner.ledger(), |sql| {
        let Some(ids) = scope_ids(sql, scope)? else { return Ok(Vec::new()) };
        let query = format!(
            "SELECT id, session FROM memories WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3
             AND session <> 0 AND {EXISTS} ORDER BY seq DESC LIMIT 1"
        );
        let rows = sql.query(&query, &[Value::Int(ids[0]), Value::Int(ids[1]), Value::Int(ids[2])])?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let mut ids = vec![id_at(row, 0)?];
        ids.extend(session_memories(sql, row.int(1)?, SessionWindow::Last(count))?);
        Ok(ids)
    })?;
    let memories = get(inner, &ids)?.into_iter();
    let mut in_scope = memories.map(|memory| memory.filter(|memory| memory.payload.scope() == *scope));
    let last = in_scope.next().flatten();
    Ok(last.map(|last| (last, in_scope.flatten().collect())))
}

pub(super) fn summary(inner: &Arc<Inner>, scope: &Scope) -> Result<ScopeSummary> {
    if scope.is_empty() {
        return Err(StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into()));
    }
    ensure_recorded(inner, PointSet::of_scope(scope))?;
    let summary = snapshot(inner.ledger(), |sql| {
        let Some((condition, values)) = scope_condition(sql, scope)? else { return Ok(ScopeSummary::default()) };
        let memories = format!("SELECT count(*) FROM memories WHERE {condition}");
        let memories = first_count(&sql.query(&memories, &values)?)?;
        let links = format!("SELECT count(*) FROM links JOIN memories ON memories.id = links.source WHERE {condition}");
        let links = first_count(&sql.query(&links, &values)?)?;
        let mut first_created = |order: &str| -> Result<Option<String>> {
            let query = format!(
                "SELECT created_at FROM memories WHERE {condition} AND created IS NOT NULL AND created_at IS NOT NULL
                 ORDER BY created {order} LIMIT 1"
            );
            let rows = sql.query(&query, &values)?;
            rows.first().map_or(Ok(None), |row| Ok(row.opt_text(0)?.map(str::to_owned)))
        };
        let (first, last) = (first_created("ASC")?, first_created("DESC")?);
        Ok(ScopeSummary { memories, links, entities: 0, first, last })
    })?;
    let entities = count_points(inner, &inner.collections.entities, has_scope_ids(scope))?;
    Ok(ScopeSummary { entities, ..summary })
}

pub(super) fn owners(inner: &Arc<Inner>, within: Option<&str>) -> Result<Vec<Owner>> {
    ensure_recorded(inner, within.map_or(PointSet::All, |user| PointSet::WithScopeId(0, user)))?;
    snapshot(inner.ledger(), |sql| {
        let scope = Scope { user_id: within.map(str::to_owned), ..Scope::default() };
        let Some((condition, values)) = scope_condition(sql, &scope)? else { return Ok(Vec::new()) };
        let query = format!(
            "SELECT user_scope, agent_scope, run_scope, app, created_at, updated_at FROM memories WHERE {condition}"
        );
        let mut counts = OwnerCounts::default();
        for row in &sql.query(&query, &values)? {
            let fields =
                OwnerFields { app: row.opt_text(3)?, created_at: row.opt_text(4)?, updated_at: row.opt_text(5)? };
            counts.add([row.int(0)?, row.int(1)?, row.int(2)?], &fields);
        }
        counts.finish(|id| {
            let rows = sql.query("SELECT kind, value FROM scopes WHERE id = $1", &[Value::Int(id)])?;
            let Some(row) = rows.first() else { return Ok(None) };
            Ok(Some((usize::try_from(row.int(0)?).unwrap_or(usize::MAX), row.text(1)?.to_owned())))
        })
    })
}

/// Visits the whole store in batches. Changes that are made during the visit may be included or not.
pub(super) fn visit(inner: &Arc<Inner>, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
    ensure_recorded(inner, PointSet::All)?;
    let query = format!("SELECT seq, id FROM memories WHERE {EXISTS} AND seq > $1 ORDER BY seq LIMIT $2");
    let mut last = i64::MIN;
    loop {
        let rows = snapshot(inner.ledger(), |sql| sql.query(&query, &[Value::Int(last), Value::Int(to_i64(BATCH))]))?;
        let Some(last_row) = rows.last() else { break };
        last = last_row.int(0)?;
        let ids = rows.iter().map(|row| id_at(row, 1)).collect::<Result<Vec<_>>>()?;
        for stored in get_stored(inner, &ids)?.into_iter().flatten() {
            if visitor(ExportRecord::Memory(Box::new(stored))).is_break() {
                return Ok(());
            }
        }
    }
    for entity in sorted_entities(inner, RemoteFilter::default())? {
        if visitor(ExportRecord::Entity(Box::new(entity))).is_break() {
            return Ok(());
        }
    }
    shared_tables::visit(|work| inner.ledger().snapshot(work), visitor).map(drop)
}

/// The ids of memories of a session, sorted by position.
fn session_memories(sql: &mut dyn Sql, session: i64, window: SessionWindow) -> Result<Vec<MemoryId>> {
    let mut select = |condition: &str, position: i64, count: usize| -> Result<Vec<MemoryId>> {
        let query = format!(
            "SELECT id FROM memories WHERE session = $1 AND session <> 0 AND {EXISTS} AND position {condition} LIMIT $3"
        );
        let rows = sql.query(&query, &[Value::Int(session), Value::Int(position), Value::Int(to_i64(count))])?;
        rows.iter().map(|row| id_at(row, 0)).collect()
    };
    let (position, count_before) = match window {
        SessionWindow::Last(count) => (i64::MAX, count),
        SessionWindow::Around { position, before, .. } => (i64::from(position), before),
    };
    let mut ids = select("< $2 ORDER BY position DESC, seq DESC", position, count_before)?;
    ids.reverse();
    if let SessionWindow::Around { position, after, .. } = window {
        ids.extend(select("> $2 ORDER BY position, seq", i64::from(position), after)?);
    }
    Ok(ids)
}

fn memory(id: MemoryId, point: &RetrievedPoint, provenance: Option<&Provenance>) -> Memory {
    Memory { id, payload: payload(point.payload.clone()), provenance: provenance.cloned().unwrap_or_default() }
}

/// The condition "exists and has all ids of this scope" and its values; `None` if no memory can match.
fn scope_condition(sql: &mut dyn Sql, scope: &Scope) -> Result<Option<(String, Vec<Value>)>> {
    let Some(ids) = scope_ids(sql, scope)? else { return Ok(None) };
    let mut condition = EXISTS.to_owned();
    let mut values = Vec::new();
    for (kind, id) in ids.into_iter().enumerate().filter(|(_, id)| *id != 0) {
        values.push(Value::Int(id));
        condition.push_str(&format!(" AND {}", has_scope_id(kind, values.len())));
    }
    Ok(Some((condition, values)))
}
