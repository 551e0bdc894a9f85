//! Change sets and removals.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::QdrantStore;
use super::outbox::{Applied, Recorded, Write, lock_keys};
use super::plan::{LedgerRow, Plan};
use super::tables::{self, id_value};
use super::together::Results;
use crate::database::{Lock, Value, snapshot};
use crate::{Change, ChangeSet, Filter, HistoryEvent, MemoryId, Result, Scope, StoreError};

/// Ids read at a time.
const AT_ONCE: usize = 1000;

/// One of several writes that was recorded, and its place among them.
struct Accepted<'w> {
    at: usize,
    recorded: Recorded,
    plan: &'w Plan,
}

fn plans<'w>(accepted: &[Accepted<'w>]) -> Vec<&'w Plan> {
    accepted.iter().map(|accepted| accepted.plan).collect()
}

impl QdrantStore {
    pub(super) fn apply_changes(&self, changes: &ChangeSet) -> Result<()> {
        if changes.changes.is_empty() && changes.expected.is_empty() {
            return Ok(());
        }
        let mut scopes: BTreeSet<Scope> = changes.expected.iter().map(|(scope, _)| scope.clone()).collect();
        let mut named: BTreeSet<MemoryId> = BTreeSet::new();
        for change in &changes.changes {
            match change {
                Change::Insert(record) | Change::Replace(record) => {
                    scopes.insert(record.memory.payload.scope());
                    named.insert(record.memory.id);
                }
                Change::SetTerms(id, _) | Change::Remove(id) => drop(named.insert(*id)),
                Change::InsertEntity(entity) => drop(scopes.insert(entity.payload.scope())),
                Change::Link(_) | Change::History(_) | Change::Message(_) => {}
            }
        }
        let named: Vec<MemoryId> = named.into_iter().collect();
        // Whose they are now; who moves them meanwhile is noticed below.
        scopes.extend(self.scopes_of(&named)?);
        let keys = lock_keys(&scopes);
        let hold = Lock::Keys(keys.clone());
        let _held = self.ledger().lock(&hold)?;
        let _writing = self.inner.writers.begin(&keys);
        self.drain(&hold)?;
        // Before asking Qdrant: what is bound to fail fails here, and at once.
        snapshot(self.ledger(), |sql| tables::expect_versions(sql, &changes.expected))?;
        let naming = self.names(&changes.changes)?;
        let remaking = self.start(move |store| async move { store.named(naming).await });
        let distinct = named.iter().copied().collect();
        let fetching = self.start(|store| async move { store.fetching(distinct, false, false).await });
        self.catch_up(&scopes)?;
        let there: BTreeSet<MemoryId> = self.inner.client.finish(fetching)?.into_keys().collect();
        let known = self.inner.client.finish(remaking)?;
        self.enter_unknown(&there)?;
        if !self.scopes_of(&named)?.is_subset(&scopes) {
            return Err(StoreError::Conflict);
        }
        let plan = self.plan(&changes.changes, &there, &known)?;
        self.carry_out(Write::new(&changes.expected, keys, plan)?).map(drop)
    }

    /// Records a write, applies it and settles it, with others that come at the same time. `false` if it was accepted, and
    /// will be applied when Qdrant is back.
    fn carry_out(&self, write: Write) -> Result<bool> {
        self.inner.together.carry_out(write, |writes, results| self.carry_out_all(writes, results))
    }

    fn carry_out_all(&self, writes: &[&Write], results: &mut Results<'_>) {
        let recorded = match self.record(writes) {
            Ok(recorded) => recorded,
            // One may be what the ledger can't hold, and the others fine.
            Err(StoreError::Unsupported(_)) if writes.len() > 1 => {
                for (at, write) in writes.iter().enumerate() {
                    self.carry_out_all(&[write], &mut results.of(at));
                }
                return;
            }
            Err(error) => return results.give_all(0..writes.len(), error),
        };
        let mut accepted = Vec::with_capacity(writes.len());
        for (at, recorded) in recorded.into_iter().enumerate() {
            match recorded {
                Some(recorded) => accepted.push(Accepted { at, recorded, plan: &writes[at].plan }),
                None => results.give(at, Err(StoreError::Conflict)),
            }
        }
        if accepted.is_empty() {
            return;
        }
        // Both take about as long. What a power cut takes from the ledger in between was not accepted yet.
        let ledger = Arc::clone(&self.inner.ledger);
        let syncing = self.inner.client.start_blocking(move || ledger.sync());
        let performed = self.perform(&plans(&accepted));
        match self.inner.client.finish(syncing) {
            Ok(()) => self.end(&accepted, performed, results),
            Err(error) => results.give_all(accepted.iter().map(|accepted| accepted.at), error),
        }
    }

    /// Settles what was applied, as far as it was.
    fn end(&self, accepted: &[Accepted<'_>], performed: Result<Applied>, results: &mut Results<'_>) {
        match performed {
            Ok(applied) => match self.settle_all(accepted, &applied) {
                Ok(()) => accepted.iter().for_each(|accepted| results.give(accepted.at, Ok(true))),
                // It is recorded and applied: the ledger is brought up to it when it can be.
                Err(error) => {
                    tracing::warn!(writes = accepted.len(), %error, "accepted, and settled when the ledger is back");
                    self.inner.stuck.meet();
                    accepted.iter().for_each(|accepted| results.give(accepted.at, Ok(false)));
                }
            },
            Err(StoreError::Unavailable { server, reason }) => {
                tracing::warn!(
                    writes = accepted.len(),
                    server,
                    reason,
                    "accepted, and applied when the server is back"
                );
                self.inner.stuck.meet();
                accepted.iter().for_each(|accepted| results.give(accepted.at, Ok(false)));
            }
            // Refused: what Qdrant says no to it says no to as a whole.
            Err(error) => match accepted {
                [one] => {
                    if let Err(other) = self.take_back(one.recorded.seq, one.plan) {
                        tracing::error!(error = %other, "a write that was refused could not be taken back");
                    }
                    results.give(one.at, Err(error));
                }
                several => {
                    for one in several {
                        self.end(std::slice::from_ref(one), self.perform(&[one.plan]), results);
                    }
                }
            },
        }
    }

    fn settle_all(&self, accepted: &[Accepted<'_>], applied: &Applied) -> Result<()> {
        let touched: BTreeSet<i64> = accepted.iter().flat_map(|accepted| &accepted.recorded.touched).copied().collect();
        // Readers see a scope before or after, never between.
        let mut indexes = self.inner.cache.write_present(touched.into_iter());
        let plans: Vec<(i64, &Plan)> = accepted.iter().map(|accepted| (accepted.recorded.seq, accepted.plan)).collect();
        let settled = self.settle(&plans, applied)?;
        for (accepted, settled) in accepted.iter().zip(&settled) {
            self.follow(&mut indexes, accepted.plan, settled);
        }
        Ok(())
    }

    /// The scopes that the ledger has these memories in.
    fn scopes_of(&self, ids: &[MemoryId]) -> Result<BTreeSet<Scope>> {
        let mut scopes = BTreeSet::new();
        if ids.is_empty() {
            return Ok(scopes);
        }
        snapshot(self.ledger(), |sql| {
            let mut seen: BTreeSet<[i64; 3]> = BTreeSet::new();
            for id in ids {
                let Some(listed) = tables::listed(sql, *id)? else { continue };
                if !seen.insert(listed.scopes) {
                    continue;
                }
                let mut names = [None, None, None];
                for (name, scope) in names.iter_mut().zip(listed.scopes).filter(|(_, scope)| *scope != 0) {
                    let rows = sql.query("SELECT value FROM scopes WHERE id = $1", &[Value::Int(scope)])?;
                    *name = rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?;
                }
                let [user_id, agent_id, run_id] = names;
                scopes.insert(Scope { user_id, agent_id, run_id });
            }
            Ok(())
        })?;
        Ok(scopes)
    }

    /// Enters those of these memories, which are there, that were never met.
    fn enter_unknown(&self, there: &BTreeSet<MemoryId>) -> Result<()> {
        if there.is_empty() {
            return Ok(());
        }
        let mut unknown = Vec::new();
        snapshot(self.ledger(), |sql| {
            unknown.clear();
            for id in there {
                if sql.query("SELECT 1 FROM memories WHERE id = $1 AND gone = 0", &[id_value(*id)])?.is_empty() {
                    unknown.push(*id);
                }
            }
            Ok(())
        })?;
        for part in unknown.chunks(AT_ONCE) {
            let found = self.fetch(part, true, false)?;
            self.enter_points(
                found.into_iter().map(|(id, point)| (id, super::codec::payload(point.payload))).collect(),
            )?;
        }
        Ok(())
    }

    pub(super) fn remove_all(&self, filter: Option<&Filter>, now: &str) -> Result<usize> {
        let scope = filter.map(Scope::pinned_by).unwrap_or_default();
        if filter.is_some_and(|filter| filter.scope().is_contradiction()) {
            return Ok(0);
        }
        let reach = Self::reach(&scope);
        self.notice(reach)?;
        let keys = if scope.is_empty() { Vec::new() } else { lock_keys([&scope]) };
        let hold = if scope.is_empty() { Lock::Everything } else { Lock::Keys(keys.clone()) };
        let _held = self.ledger().lock(&hold)?;
        let _writing = self.inner.writers.begin(&keys);
        self.drain(&hold)?;
        let mut plan = Plan::default();
        let points = match filter {
            Some(filter) => self.scroll_points(super::pushdown::remote(filter).0, true)?,
            None => self.scroll_points(qdrant_client::qdrant::Filter::default(), true)?,
        };
        let mut matching = Vec::new();
        for point in points {
            let id = super::codec::memory_id(point.id)?;
            let payload = super::codec::payload(point.payload);
            if filter.is_none_or(|filter| filter.matches(payload.as_map())) {
                matching.push((id, payload));
            }
        }
        if matching.is_empty() {
            return Ok(0);
        }
        // Met or not, each has a row to leave and a history to end.
        self.enter_points(matching.clone())?;
        let order = self.places(matching.iter().map(|(id, _)| *id))?;
        matching.sort_by_key(|(id, _)| order.get(id).copied());
        for (id, payload) in matching {
            let memory = crate::Memory { id, payload, provenance: crate::Provenance::default() };
            plan.rows.push(LedgerRow::Unlink(id));
            plan.rows.push(LedgerRow::History(Box::new(HistoryEvent::deleted(&memory, now))));
            plan.removed.push(id);
            plan.stripped.push(id);
        }
        let removed = plan.removed.clone();
        if self.carry_out(Write::new(&[], keys, plan)?)? {
            for part in removed.chunks(AT_ONCE) {
                let left = self.fetch(part, false, false)?.len();
                if left != 0 {
                    return Err(StoreError::Corrupt(format!(
                        "{left} of {} memories could not be removed",
                        removed.len()
                    )));
                }
            }
        }
        Ok(removed.len())
    }

    fn places(&self, ids: impl Iterator<Item = MemoryId>) -> Result<std::collections::HashMap<MemoryId, i64>> {
        let ids: Vec<MemoryId> = ids.collect();
        snapshot(self.ledger(), |sql| {
            let mut places = std::collections::HashMap::with_capacity(ids.len());
            for id in &ids {
                places.extend(tables::listed(sql, *id)?.map(|listed| (*id, listed.seq)));
            }
            Ok(places)
        })
    }
}
