//! Writes in three steps, so that a crash between two steps loses nothing: a write is recorded in the outbox of the ledger,
//! applied to Qdrant, and finished in the ledger.
//!
//! After a write is recorded, a crash can't undo it. When the record is synced to the disk, the write is accepted. Its plan
//! has fixed ids and may therefore be applied again: by this process when Qdrant is available again, by another process, or
//! after a restart. A process that applies it holds the locks of its scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::codec::{delete_operation, point, upsert_operation};
use super::entity_updates::{EntityChanges, find_entities, update_entities};
use super::inner::Inner;
use super::plan::{LedgerChange, Plan, PlannedPoint};
use super::planned_write::PlannedWrite;
use super::points::update;
use super::tables::{
    MemoryRow, check_versions, ensure_scope_ids, first_int, id_value, indexable_text, memory_row, new_rev,
    write_memory_row,
};
use crate::database::{Lock, Row, Sql, Value, snapshot, transact, transact_unsynced};
use crate::scope_index::terms_to_blob;
use crate::shared_tables::{history, links, messages};
use crate::{Durability, MemoryId, Result, StoreError};

/// Points in one request that writes them, and in one that deletes them.
const WRITE_BATCH: usize = 500;
const DELETE_BATCH: usize = 5000;

/// How often the entities of a plan are read again, if another program changes them at the same time.
const MAX_ENTITY_RETRIES: usize = 5;

/// A write in the outbox.
struct PendingWrite {
    seq: i64,
    keys: Vec<i64>,
}

/// A write that was recorded.
pub(super) struct RecordedWrite {
    pub(super) seq: i64,
    /// The ids of the scopes that it changes.
    pub(super) touched: BTreeSet<i64>,
}

/// The effects of a finished write.
#[derive(Default)]
pub(super) struct FinishedWrite {
    /// The rows of the written points.
    pub(super) rows: HashMap<MemoryId, MemoryRow>,
    /// Whether the write only added memories.
    pub(super) only_added: bool,
    /// The changed scope ids, with their new values of `applied`.
    pub(super) applied: BTreeMap<i64, i64>,
}

/// Applies the pending writes of these scopes, or all. The caller holds the lock.
pub(super) fn apply_pending(inner: &Inner, lock: &Lock) -> Result<usize> {
    let pending = snapshot(inner.ledger(), |sql| pending_writes(sql))?;
    let is_locked = |pending: &PendingWrite| match lock {
        Lock::Everything => true,
        Lock::Keys(keys) => pending.keys.iter().any(|key| keys.contains(key)),
    };
    let mut count = 0;
    for write in pending.into_iter().filter(is_locked) {
        if let Some(plan) = snapshot(inner.ledger(), |sql| pending_plan(sql, write.seq))? {
            let changes = apply_plans(inner, &[&plan])?;
            finish(inner, &[(write.seq, &plan)], &changes)?;
            count += 1;
        }
    }
    if count > 0 {
        tracing::info!(writes = count, "applied pending writes");
    }
    Ok(count)
}

/// Applies all pending writes of all processes.
pub(super) fn apply_all_pending(inner: &Inner) -> Result<usize> {
    let unapplied = inner.unapplied.total();
    let mut count = 0;
    for write in snapshot(inner.ledger(), |sql| pending_writes(sql))? {
        let lock = Lock::Keys(write.keys);
        let guard = inner.ledger().lock(&lock)?;
        // Another process may have applied it before the lock was granted.
        count += apply_pending(inner, &lock)?;
        drop(guard);
    }
    inner.unapplied.mark_applied(unapplied);
    Ok(count)
}

/// Applies accepted writes that this process could not apply, before a read.
pub(super) fn apply_unapplied(inner: &Inner) -> Result<()> {
    if inner.unapplied.exist() { apply_all_pending(inner).map(drop) } else { Ok(()) }
}

/// Records writes. The result is `None` for a write whose scopes do not have the expected versions. After this, a crash
/// can't undo the writes. After the ledger is synced, a power failure can't either, and they are accepted.
pub(super) fn record(inner: &Inner, writes: &[&PlannedWrite]) -> Result<Vec<Option<RecordedWrite>>> {
    transact_unsynced(inner.ledger(), |sql| writes.iter().map(|write| record_write(sql, write)).collect())
}

/// Removes a recorded write that Qdrant refused. Its points that Qdrant accepted are deleted if they are new.
pub(super) fn revert(inner: &Inner, seq: i64, plan: &Plan) -> Result<()> {
    let mut new_points = Vec::new();
    snapshot(inner.ledger(), |sql| {
        new_points.clear();
        for point in &plan.points {
            if memory_row(sql, point.memory.id)?.is_none() {
                new_points.push(point.memory.id);
            }
        }
        Ok(())
    })?;
    let memories = &inner.collections.memories;
    let deleted = new_points
        .chunks(DELETE_BATCH)
        .try_for_each(|ids| inner.client.wait(update(inner, memories, vec![delete_operation(ids)])));
    transact(inner.ledger(), Durability::Written, |sql| {
        sql.execute("DELETE FROM outbox WHERE seq = $1", &[Value::Int(seq)]).map(drop)
    })?;
    deleted
}

/// Applies plans of different scopes to Qdrant. Applying them again has no further effect.
pub(super) fn apply_plans(inner: &Inner, plans: &[&Plan]) -> Result<EntityChanges> {
    inner.client.wait(async {
        let (points, entities) = tokio::join!(apply_points(inner, plans), find_entities(inner, plans));
        points?;
        let mut entities = entities?;
        for retries in 0.. {
            match update_entities(inner, plans, entities).await {
                Err(error) if matches!(error, StoreError::Unavailable { .. }) => return Err(error),
                // Another program removed an entity after it was read.
                Err(error) if retries < MAX_ENTITY_RETRIES => {
                    tracing::debug!(%error, "reading entities again");
                    entities = find_entities(inner, plans).await?;
                }
                // The points are written; the write can't be reverted any more. Its entities are less important.
                Err(error) if plans.len() == 1 => {
                    tracing::error!(%error, "a write was applied without its entities");
                    break;
                }
                result => return result,
            }
        }
        Ok(EntityChanges::default())
    })
}

async fn apply_points(inner: &Inner, plans: &[&Plan]) -> Result<()> {
    let memories = &inner.collections.memories;
    let has_bm25 = inner.collections.has_bm25;
    let points: Vec<&PlannedPoint> = plans.iter().flat_map(|plan| &plan.points).collect();
    let written: BTreeSet<MemoryId> = points.iter().map(|point| point.memory.id).collect();
    let removed = plans.iter().flat_map(|plan| &plan.removed);
    let removed: Vec<MemoryId> = removed.copied().filter(|id| !written.contains(id)).collect();
    for ids in removed.chunks(DELETE_BATCH) {
        update(inner, memories, vec![delete_operation(ids)]).await?;
    }
    for batch in points.chunks(WRITE_BATCH) {
        let points = batch.iter().map(|planned| {
            let bm25 = if has_bm25 { Some(&planned.bm25) } else { None };
            point(planned.memory.id, &planned.memory.payload, &planned.vector, bm25)
        });
        update(inner, memories, vec![upsert_operation(points.collect::<Result<_>>()?)]).await?;
    }
    Ok(())
}

/// Updates the ledger for applied plans and removes them from the outbox.
pub(super) fn finish(inner: &Inner, plans: &[(i64, &Plan)], changes: &EntityChanges) -> Result<Vec<FinishedWrite>> {
    transact(inner.ledger(), Durability::Written, |sql| {
        for id in changes.unreferenced.iter().chain(changes.replaced.keys()) {
            sql.execute("DELETE FROM entities WHERE id = $1", &[id_value(*id)])?;
        }
        let finished = plans.iter().map(|(seq, plan)| {
            if sql.execute("DELETE FROM outbox WHERE seq = $1", &[Value::Int(*seq)])? == 0 {
                return Err(StoreError::Corrupt("a write was finished twice".into()));
            }
            finish_plan(sql, plan, &changes.replaced)
        });
        finished.collect()
    })
}

fn record_write(sql: &mut dyn Sql, write: &PlannedWrite) -> Result<Option<RecordedWrite>> {
    match check_versions(sql, &write.expected) {
        Err(StoreError::Conflict) => return Ok(None),
        result => result?,
    }
    let plan = &write.plan;
    let mut touched = BTreeSet::new();
    for scope in &plan.scopes() {
        touched.extend(ensure_scope_ids(sql, scope)?);
    }
    for id in plan.removed.iter().chain(plan.terms.iter().map(|(id, _)| id)).chain(&plan.unlinked) {
        if let Some(row) = memory_row(sql, *id)? {
            touched.extend(row.scopes);
        }
    }
    touched.remove(&0);
    for scope in &touched {
        sql.execute("UPDATE scopes SET version = version + 1 WHERE id = $1", &[Value::Int(*scope)])?;
    }
    let keys = write.keys.iter().flat_map(|key| key.to_be_bytes()).collect();
    let rows = sql.query(
        "INSERT INTO outbox(keys, body) VALUES($1, $2) RETURNING seq",
        &[Value::Bytes(keys), Value::Bytes(write.body.clone())],
    )?;
    Ok(Some(RecordedWrite { seq: first_int(&rows)?, touched }))
}

/// The change to the row of a scope id: the difference of its members, and its latest update.
#[derive(Default)]
struct ScopeChange {
    members: i64,
    newest: i64,
}

/// Updates the ledger for an applied plan.
fn finish_plan(sql: &mut dyn Sql, plan: &Plan, replaced: &HashMap<MemoryId, MemoryId>) -> Result<FinishedWrite> {
    let mut finished = FinishedWrite { only_added: true, ..FinishedWrite::default() };
    let mut scopes: BTreeMap<i64, ScopeChange> = BTreeMap::new();
    for &id in &plan.removed {
        finished.only_added = false;
        if let Some(row) = memory_row(sql, id)? {
            subtract_member(&mut scopes, &row);
        }
        sql.execute("DELETE FROM memories WHERE id = $1", &[id_value(id)])?;
    }
    for point in &plan.points {
        if let Some(old) = memory_row(sql, point.memory.id)? {
            finished.only_added = false;
            subtract_member(&mut scopes, &old);
        }
        let scope_ids = ensure_scope_ids(sql, &point.memory.payload.scope())?;
        let row = write_memory_row(sql, &point.memory, &point.terms, point.holds_time_word, scope_ids)?;
        for scope in scope_ids.into_iter().filter(|scope| *scope != 0) {
            let change = scopes.entry(scope).or_default();
            change.members += 1;
            change.newest = change.newest.max(row.updated.unwrap_or(0));
        }
        finished.rows.insert(point.memory.id, row);
    }
    for (id, terms) in &plan.terms {
        finished.only_added = false;
        sql.execute(
            "UPDATE memories SET terms = $1, rev = $2 WHERE id = $3",
            &[Value::Bytes(terms_to_blob(terms)), Value::Int(new_rev()), id_value(*id)],
        )?;
        if let Some(row) = memory_row(sql, *id)? {
            for scope in row.scopes.into_iter().filter(|scope| *scope != 0) {
                scopes.entry(scope).or_default();
            }
        }
    }
    for entity in &plan.entities {
        let scope_ids = ensure_scope_ids(sql, &entity.payload.scope())?;
        sql.execute(
            "INSERT INTO entities(id, user_scope, agent_scope, run_scope, name) VALUES($1, $2, $3, $4, $5)
             ON CONFLICT(id) DO NOTHING",
            &[
                id_value(*replaced.get(&entity.id).unwrap_or(&entity.id)),
                Value::Int(scope_ids[0]),
                Value::Int(scope_ids[1]),
                Value::Int(scope_ids[2]),
                indexable_text(Some(&entity.text().to_lowercase())),
            ],
        )?;
    }
    for change in &plan.ledger_changes {
        match change {
            LedgerChange::AddLink(link) => links::insert(sql, link)?,
            LedgerChange::DeleteLinks(id) => links::delete_all_of(sql, *id)?,
            LedgerChange::AddHistory(event) => history::insert(sql, event)?,
            LedgerChange::AddMessage(message) => messages::insert(sql, message)?,
        }
    }
    // In rising order, so that two writers can't deadlock.
    for (scope, change) in scopes {
        let rows = sql.query(
            "UPDATE scopes SET version = version + 1, applied = applied + 1, members = members + $2,
               newest = CASE WHEN newest < $3 THEN $3 ELSE newest END
             WHERE id = $1 RETURNING applied",
            &[Value::Int(scope), Value::Int(change.members), Value::Int(change.newest)],
        )?;
        finished.applied.insert(scope, first_int(&rows)?);
    }
    Ok(finished)
}

/// Subtracts a memory from the members of its scopes.
fn subtract_member(scopes: &mut BTreeMap<i64, ScopeChange>, row: &MemoryRow) {
    for scope in row.scopes.into_iter().filter(|scope| *scope != 0) {
        scopes.entry(scope).or_default().members -= 1;
    }
}

fn pending_writes(sql: &mut dyn Sql) -> Result<Vec<PendingWrite>> {
    let rows = sql.query("SELECT seq, keys FROM outbox ORDER BY seq", &[])?;
    let write = |row: &Row| {
        let keys = row.bytes(1)?.as_chunks::<8>().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        Ok(PendingWrite { seq: row.int(0)?, keys })
    };
    rows.iter().map(write).collect()
}

fn pending_plan(sql: &mut dyn Sql, seq: i64) -> Result<Option<Plan>> {
    let rows = sql.query("SELECT body FROM outbox WHERE seq = $1", &[Value::Int(seq)])?;
    rows.first().map(|row| Plan::decode(row.bytes(0)?)).transpose()
}
