//! Indexes of scopes: rows from the ledger, vectors from Qdrant. Writes update them, and reads compare them with the
//! ledger.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::with_vectors_selector::SelectorOptions;
use qdrant_client::qdrant::{GetPointsBuilder, VectorsSelector};

use super::codec::{DENSE, memory_id, point_id, vectors};
use super::inner::Inner;
use super::outbox::FinishedWrite;
use super::plan::{Plan, PlannedPoint};
use super::tables::{EXISTS, MemoryRow, ScopeRow, first_int, has_scope_id, id_at, scope_row};
use crate::database::{Row, Value, snapshot};
use crate::scope_index::{Entry, IndexRead, IndexWrite, ScopeIndex, day_number, terms_from_blob};
use crate::{MemoryId, Payload, Result, keys};

/// Points in one request.
const BATCH: usize = 500;
/// Requests that run at the same time.
const MAX_CONCURRENT_REQUESTS: usize = 4;

/// The index of a scope id, with the version of the row or a later one.
pub(super) fn current_index(inner: &Inner, kind: usize, row: &ScopeRow) -> Result<IndexRead> {
    let is_current = |index: &ScopeIndex| index.version >= row.applied;
    let cached = inner.cache.read(row.id);
    if cached.as_ref().is_some_and(is_current) {
        return Ok(cached);
    }
    drop(cached);
    let mut guard = inner.cache.write(row.id);
    if !guard.as_ref().is_some_and(is_current) {
        let loaded = load(inner, kind, row.id, guard.take())?;
        inner.cache.set_size(row.id, loaded.bytes());
        *guard = Some(loaded);
    }
    Ok(IndexWrite::downgrade(guard))
}

/// Loads the rows of a scope. Vectors are taken from the old index if they have not changed, otherwise from Qdrant.
fn load(inner: &Inner, kind: usize, scope: i64, old: Option<ScopeIndex>) -> Result<ScopeIndex> {
    let (applied, rows) = snapshot(inner.ledger(), |sql| {
        let applied = first_int(&sql.query("SELECT applied FROM scopes WHERE id = $1", &[Value::Int(scope)])?)?;
        let rows = sql.query(
            &format!(
                "SELECT seq, id, user_scope, agent_scope, run_scope, session, position, day, expires, time_word,
                        actor, role, terms, rev
                 FROM memories WHERE {EXISTS} AND {} ORDER BY seq",
                has_scope_id(kind, 1)
            ),
            &[Value::Int(scope)],
        )?;
        Ok((applied, rows))
    })?;
    let entries = rows.iter().map(entry_at).collect::<Result<Vec<_>>>()?;
    drop(rows);
    let mut index = ScopeIndex::empty(inner.dims, applied);
    index.reserve(entries.len());
    let unchanged: HashMap<(i64, i64), u32> =
        old.iter().flat_map(|old| old.living().map(|(at, row)| ((row.slot, row.rev), at))).collect();
    let is_changed = |entry: &&Entry| !unchanged.contains_key(&(entry.slot, entry.rev));
    let changed: Vec<MemoryId> = entries.iter().filter(is_changed).map(|entry| entry.id).collect();
    let mut fetched = fetch_vectors(inner, &changed)?;
    for entry in entries {
        let reused = unchanged.get(&(entry.slot, entry.rev)).zip(old.as_ref());
        if let Some((&at, old)) = reused {
            index.push(entry, old.vector(at));
        } else if let Some(mut vector) = fetched.remove(&entry.id) {
            // The point of another program may have no dense vector.
            vector.resize(inner.dims, 0.0);
            index.push(entry, &vector);
        }
    }
    Ok(index)
}

/// The entry of a row that [`load`] selects.
fn entry_at(row: &Row) -> Result<Entry> {
    let mut speaker = Payload::default();
    for (column, key) in [(10, keys::ACTOR_ID), (11, keys::ROLE)] {
        if let Some(name) = row.opt_text(column)? {
            speaker.set(key, name);
        }
    }
    let (actor, by_user) = Entry::speaker(&speaker);
    Ok(Entry {
        slot: row.int(0)?,
        id: id_at(row, 1)?,
        scopes: [row.int(2)?, row.int(3)?, row.int(4)?],
        session: row.int(5)?,
        position: row.opt_int(6)?.and_then(|position| u32::try_from(position).ok()),
        day: row.opt_int(7)?.map(|day| day as i32),
        expires: row.opt_int(8)?.map(|day| day as i32),
        holds_time_word: row.int(9)? != 0,
        actor,
        by_user,
        terms: terms_from_blob(row.bytes(12)?)?,
        rev: row.int(13)?,
    })
}

/// The dense vectors of existing points.
fn fetch_vectors(inner: &Inner, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Vec<f32>>> {
    let client = &inner.client;
    let mut found = HashMap::with_capacity(ids.len());
    for group in ids.chunks(BATCH * MAX_CONCURRENT_REQUESTS) {
        let request = |batch: &[MemoryId]| {
            let ids: Vec<_> = batch.iter().copied().map(point_id).collect();
            let dense_only = VectorsSelector { names: vec![DENSE.to_owned()] };
            GetPointsBuilder::new(&inner.collections.memories, ids)
                .with_payload(false)
                .with_vectors(SelectorOptions::Include(dense_only))
                .build()
        };
        let requests: Vec<_> = group.chunks(BATCH).map(request).collect();
        let responses = client.wait(async {
            let sent = requests.iter().map(|request| client.send("get", move |node| node.get_points(request.clone())));
            futures_util::future::join_all(sent).await
        });
        for response in responses {
            for point in response?.result {
                found.insert(memory_id(point.id)?, vectors(point.vectors).0);
            }
        }
    }
    Ok(found)
}

/// Adds the memories of a finished write to the indexes in memory, if the write only added memories. Other indexes are
/// compared with the ledger before their next use.
pub(super) fn add_to_indexes(inner: &Inner, indexes: &mut [(i64, IndexWrite)], plan: &Plan, finished: &FinishedWrite) {
    let mut order: BTreeMap<i64, usize> = BTreeMap::new();
    for (at, point) in plan.points.iter().enumerate() {
        order.extend(finished.rows.get(&point.memory.id).map(|row| (row.seq, at)));
    }
    for (scope, guard) in indexes {
        let (Some(&applied), Some(index)) = (finished.applied.get(scope), guard.as_mut()) else { continue };
        if !finished.only_added || index.version + 1 != applied {
            continue;
        }
        let mut in_order = true;
        for &at in order.values() {
            let point = &plan.points[at];
            let row = finished.rows.get(&point.memory.id).filter(|row| row.scopes.contains(scope));
            if let Some(row) = row {
                in_order &= index.insert(entry_of(point, row), &point.vector, &point.bm25);
            }
        }
        if in_order {
            index.version = applied;
            inner.cache.set_size(*scope, index.bytes());
        } else {
            **guard = None;
            inner.cache.set_size(*scope, 0);
        }
    }
}

/// The rows of the scope ids that a filter pins, by kind; `None` if the ledger does not know one of them.
pub(super) fn pinned_rows(inner: &Inner, ids: [Option<&str>; 3]) -> Result<Option<[Option<ScopeRow>; 3]>> {
    snapshot(inner.ledger(), |sql| {
        let mut rows = [None; 3];
        for (kind, value) in ids.into_iter().enumerate() {
            if let Some(value) = value {
                rows[kind] = scope_row(sql, kind, value)?;
                if rows[kind].is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(rows))
    })
}

fn entry_of(point: &PlannedPoint, row: &MemoryRow) -> Entry {
    let payload = &point.memory.payload;
    let (actor, by_user) = Entry::speaker(payload);
    let day = point.memory.happened_at().map(|at| day_number(at.to_zoned(jiff::tz::TimeZone::UTC).date()));
    Entry {
        slot: row.seq,
        id: point.memory.id,
        scopes: row.scopes,
        session: row.session,
        position: point.memory.provenance.position,
        actor,
        by_user,
        day,
        expires: payload.expiration_date().map(day_number),
        holds_time_word: point.holds_time_word,
        terms: point.terms.clone(),
        rev: row.rev,
    }
}
