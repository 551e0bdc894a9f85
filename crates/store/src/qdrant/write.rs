//! Writes: change sets and removals.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use qdrant_client::qdrant::Filter as RemoteFilter;

use super::codec::payload;
use super::entities::{find_mentioned, mentioned_entities};
use super::entity_updates::EntityChanges;
use super::external_changes::{ensure_recorded, ensure_recorded_before_write};
use super::group_commit::Results;
use super::index::add_to_indexes;
use super::inner::{Inner, start};
use super::locks::lock_keys;
use super::outbox::{RecordedWrite, apply_pending, apply_plans, finish, record, revert};
use super::plan::{LedgerChange, Plan};
use super::planned_write::PlannedWrite;
use super::planner::Planner;
use super::point_set::PointSet;
use super::points::{fetch, fetch_points, matching, scroll_memories, scroll_payloads};
use super::pushdown::remote_filter;
use super::record_points::record_points;
use super::tables::{EXISTS, check_versions, id_value, memory_row};
use crate::database::{Lock, Value, snapshot};
use crate::{
    Change, ChangeSet, Filter, HistoryEvent, Memory, MemoryId, Payload, Provenance, Result, Scope, StoreError,
};

/// Ids in one request.
const BATCH: usize = 1000;

/// One of the writes of a group that was recorded, with its index in the group.
struct AcceptedWrite<'w> {
    index: usize,
    recorded: RecordedWrite,
    plan: &'w Plan,
}

pub(super) fn apply(inner: &Arc<Inner>, changes: &ChangeSet) -> Result<()> {
    if changes.changes.is_empty() && changes.expected.is_empty() {
        return Ok(());
    }
    let (mut scopes, ids) = scopes_and_ids(changes);
    // The current scopes of the memories. If they change before the lock is granted, that is detected below.
    scopes.extend(scopes_of(inner, &ids)?);
    let keys = lock_keys(&scopes);
    let lock = Lock::Keys(keys.clone());
    let _guard = inner.ledger().lock(&lock)?;
    let _active_writer = inner.writers.begin(&keys);
    apply_pending(inner, &lock)?;
    // Before the requests to Qdrant, so that a conflict is reported without them.
    snapshot(inner.ledger(), |sql| check_versions(sql, &changes.expected))?;
    let mentioned = mentioned_entities(inner, &changes.changes)?;
    let finding = start(inner, move |inner| async move { find_mentioned(&inner, mentioned).await });
    let distinct = ids.iter().copied().collect();
    let fetching = start(inner, |inner| async move { fetch_points(&inner, distinct, false, false).await });
    ensure_recorded_before_write(inner, &scopes)?;
    let existing: BTreeSet<MemoryId> = inner.client.finish(fetching)?.into_keys().collect();
    let known_entities = inner.client.finish(finding)?;
    record_unknown(inner, &existing)?;
    if !scopes_of(inner, &ids)?.is_subset(&scopes) {
        return Err(StoreError::Conflict);
    }
    let planner = Planner { dims: inner.dims, existing: &existing, known_entities: &known_entities };
    let plan = planner.plan(&changes.changes)?;
    carry_out(inner, PlannedWrite::new(&changes.expected, keys, plan)?).map(drop)
}

/// The scopes and the memory ids that a change set contains.
fn scopes_and_ids(changes: &ChangeSet) -> (BTreeSet<Scope>, Vec<MemoryId>) {
    let mut scopes: BTreeSet<Scope> = changes.expected.iter().map(|(scope, _)| scope.clone()).collect();
    let mut ids: BTreeSet<MemoryId> = BTreeSet::new();
    for change in &changes.changes {
        match change {
            Change::Insert(record) | Change::Replace(record) => {
                scopes.insert(record.memory.payload.scope());
                ids.insert(record.memory.id);
            }
            Change::SetTerms(id, _) | Change::Remove(id) => drop(ids.insert(*id)),
            Change::InsertEntity(entity) => drop(scopes.insert(entity.payload.scope())),
            Change::Link(_) | Change::History(_) | Change::Message(_) => {}
        }
    }
    (scopes, ids.into_iter().collect())
}

/// Records a write, applies it and finishes it, together with concurrent writes. Returns `false` if it was accepted and
/// will be applied when Qdrant is available again.
fn carry_out(inner: &Inner, write: PlannedWrite) -> Result<bool> {
    inner.group_commit.carry_out(write, |writes, results| carry_out_group(inner, writes, results))
}

fn carry_out_group(inner: &Inner, writes: &[&PlannedWrite], results: &mut Results<'_>) {
    let recorded = match record(inner, writes) {
        Ok(recorded) => recorded,
        // The ledger may refuse only one of the writes.
        Err(StoreError::Unsupported(_)) if writes.len() > 1 => {
            for (index, write) in writes.iter().enumerate() {
                carry_out_group(inner, &[write], &mut results.of(index));
            }
            return;
        }
        Err(error) => return results.set_errors(0..writes.len(), error),
    };
    let mut accepted = Vec::with_capacity(writes.len());
    for (index, recorded) in recorded.into_iter().enumerate() {
        match recorded {
            Some(recorded) => accepted.push(AcceptedWrite { index, recorded, plan: &writes[index].plan }),
            None => results.set(index, Err(StoreError::Conflict)),
        }
    }
    if accepted.is_empty() {
        return;
    }
    // Syncing the ledger and applying the plans take about the same time. A write that a power failure removes from the
    // ledger in between was not accepted yet.
    let ledger = Arc::clone(&inner.ledger);
    let syncing = inner.client.start_blocking(move || ledger.sync());
    let plans: Vec<&Plan> = accepted.iter().map(|write| write.plan).collect();
    let applied = apply_plans(inner, &plans);
    match inner.client.finish(syncing) {
        Ok(()) => finish_group(inner, &accepted, applied, results),
        // The writes are recorded, and a later pass may apply them.
        Err(error) => {
            let error = StoreError::OutcomeUnknown { server: "the ledger".to_owned(), reason: error.to_string() };
            results.set_errors(accepted.iter().map(|write| write.index), error);
        }
    }
}

/// Finishes writes that were applied, and sets the results.
fn finish_group(
    inner: &Inner,
    accepted: &[AcceptedWrite<'_>],
    applied: Result<EntityChanges>,
    results: &mut Results<'_>,
) {
    match applied {
        Ok(changes) => match finish_writes(inner, accepted, &changes) {
            Ok(()) => accepted.iter().for_each(|write| results.set(write.index, Ok(true))),
            // The writes are recorded and applied: the ledger is updated when it is available again.
            Err(error) => {
                tracing::warn!(writes = accepted.len(), %error, "accepted writes; they are finished when the ledger is available");
                inner.unapplied.add();
                accepted.iter().for_each(|write| results.set(write.index, Ok(false)));
            }
        },
        Err(StoreError::Unavailable { server, reason }) => {
            tracing::warn!(
                writes = accepted.len(),
                server,
                reason,
                "accepted writes; they are applied when the server is available"
            );
            inner.unapplied.add();
            accepted.iter().for_each(|write| results.set(write.index, Ok(false)));
        }
        // Qdrant refuses a request as a whole. Therefore each write is tried alone.
        Err(error) => match accepted {
            [write] => {
                if let Err(other) = revert(inner, write.recorded.seq, write.plan) {
                    tracing::error!(error = %other, "could not revert a write that Qdrant refused");
                }
                results.set(write.index, Err(error));
            }
            several => {
                for write in several {
                    finish_group(inner, std::slice::from_ref(write), apply_plans(inner, &[write.plan]), results);
                }
            }
        },
    }
}

fn finish_writes(inner: &Inner, accepted: &[AcceptedWrite<'_>], changes: &EntityChanges) -> Result<()> {
    let touched: BTreeSet<i64> = accepted.iter().flat_map(|write| &write.recorded.touched).copied().collect();
    // Readers see a scope before or after the write, never in between.
    let mut indexes = inner.cache.write_present(touched.into_iter());
    let plans: Vec<(i64, &Plan)> = accepted.iter().map(|write| (write.recorded.seq, write.plan)).collect();
    let finished = finish(inner, &plans, changes)?;
    for (write, finished) in accepted.iter().zip(&finished) {
        add_to_indexes(inner, &mut indexes, write.plan, finished);
    }
    Ok(())
}

/// The scopes of memories according to the ledger.
fn scopes_of(inner: &Inner, ids: &[MemoryId]) -> Result<BTreeSet<Scope>> {
    let mut scopes = BTreeSet::new();
    if ids.is_empty() {
        return Ok(scopes);
    }
    snapshot(inner.ledger(), |sql| {
        let mut seen: BTreeSet<[i64; 3]> = BTreeSet::new();
        for id in ids {
            let Some(row) = memory_row(sql, *id)? else { continue };
            if !seen.insert(row.scopes) {
                continue;
            }
            let mut values = [None, None, None];
            for (value, scope) in values.iter_mut().zip(row.scopes).filter(|(_, scope)| *scope != 0) {
                let rows = sql.query("SELECT value FROM scopes WHERE id = $1", &[Value::Int(scope)])?;
                *value = rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?;
            }
            let [user_id, agent_id, run_id] = values;
            scopes.insert(Scope { user_id, agent_id, run_id });
        }
        Ok(())
    })?;
    Ok(scopes)
}

/// Records those of these existing memories that the ledger does not know.
fn record_unknown(inner: &Inner, existing: &BTreeSet<MemoryId>) -> Result<()> {
    if existing.is_empty() {
        return Ok(());
    }
    let query = format!("SELECT 1 FROM memories WHERE id = $1 AND {EXISTS}");
    let mut unknown = Vec::new();
    snapshot(inner.ledger(), |sql| {
        unknown.clear();
        for id in existing {
            if sql.query(&query, &[id_value(*id)])?.is_empty() {
                unknown.push(*id);
            }
        }
        Ok(())
    })?;
    for batch in unknown.chunks(BATCH) {
        let found = fetch(inner, batch, true, false)?;
        record_points(inner, found.into_iter().map(|(id, point)| (id, payload(point.payload))).collect())?;
    }
    Ok(())
}

pub(super) fn remove_matching(inner: &Arc<Inner>, filter: Option<&Filter>, now: &str) -> Result<usize> {
    let scope = filter.map(Scope::pinned_by).unwrap_or_default();
    if filter.is_some_and(|filter| filter.scope().is_contradiction()) {
        return Ok(0);
    }
    ensure_recorded(inner, PointSet::of_scope(&scope))?;
    let keys = if scope.is_empty() { Vec::new() } else { lock_keys([&scope]) };
    let lock = if scope.is_empty() { Lock::Everything } else { Lock::Keys(keys.clone()) };
    let _guard = inner.ledger().lock(&lock)?;
    let _active_writer = inner.writers.begin(&keys);
    apply_pending(inner, &lock)?;
    let mut matching = matching_payloads(inner, filter)?;
    if matching.is_empty() {
        return Ok(0);
    }
    // Each removed memory needs a row, even if the ledger did not know it.
    record_points(inner, matching.clone())?;
    let order = insertion_order(inner, &matching)?;
    matching.sort_by_key(|(id, _)| order.get(id).copied());
    let mut plan = Plan::default();
    for (id, payload) in matching {
        let memory = Memory { id, payload, provenance: Provenance::default() };
        plan.ledger_changes.push(LedgerChange::DeleteLinks(id));
        plan.ledger_changes.push(LedgerChange::AddHistory(Box::new(HistoryEvent::deleted(&memory, now))));
        plan.removed.push(id);
        plan.unlinked.push(id);
    }
    let removed = plan.removed.clone();
    if carry_out(inner, PlannedWrite::new(&[], keys, plan)?)? {
        for batch in removed.chunks(BATCH) {
            let left = fetch(inner, batch, false, false)?.len();
            if left != 0 {
                let message = format!("{left} of {} memories could not be removed", removed.len());
                return Err(StoreError::Corrupt(message));
            }
        }
    }
    Ok(removed.len())
}

/// The payloads of all memories that the filter matches.
fn matching_payloads(inner: &Inner, filter: Option<&Filter>) -> Result<Vec<(MemoryId, Payload)>> {
    match filter {
        Some(filter) => matching(inner, filter, scroll_memories(inner, remote_filter(filter).0, true)?),
        None => scroll_payloads(inner, RemoteFilter::default()),
    }
}

/// The sequence numbers of memories.
fn insertion_order(inner: &Inner, memories: &[(MemoryId, Payload)]) -> Result<HashMap<MemoryId, i64>> {
    snapshot(inner.ledger(), |sql| {
        let mut order = HashMap::with_capacity(memories.len());
        for (id, _) in memories {
            order.extend(memory_row(sql, *id)?.map(|row| (*id, row.seq)));
        }
        Ok(order)
    })
}
