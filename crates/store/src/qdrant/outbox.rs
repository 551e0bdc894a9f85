//! Writes in three steps, so that a crash between any two loses nothing: recorded in the ledger, applied to Qdrant, settled.
//!
//! A crash can't undo a write once it is recorded; it is accepted once the record is on the disk, too. What it comes to is
//! fixed then, ids and all, so that it may be applied again: by this process when Qdrant is back, by another, or after a
//! restart. Who applies it holds its scopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList};
use qdrant_client::qdrant::{
    PointStruct, PointsIdsList, PointsSelector, PointsUpdateOperation, UpdateBatchPointsBuilder, points_selector,
};

use super::QdrantStore;
use super::codec::{point, point_id};
use super::plan::{LedgerRow, Plan, Put};
use super::tables::{self, Listed, id_value};
use crate::database::{Hold, Sql, Value, snapshot, transact, transact_ahead};
use crate::scope_index::terms_to_blob;
use crate::stable_hash::scope_lock;
use crate::{Durability, MemoryId, Result, Scope, ScopeVersion, StoreError};

/// Points of one request.
const AT_ONCE: usize = 500;

/// How often entities are looked at again that another program changes at the same time.
const TRIES: usize = 5;

/// A recorded write.
pub(super) struct Pending {
    seq: i64,
    keys: Vec<i64>,
}

/// A write that was worked out, and is to be carried out.
pub(super) struct Write {
    /// Versions that scopes must still be at.
    expected: Vec<(Scope, ScopeVersion)>,
    /// The lock's numbers of what it holds.
    keys: Vec<i64>,
    pub(super) plan: Plan,
    /// The plan as the outbox keeps it.
    body: Vec<u8>,
}

impl Write {
    pub(super) fn new(expected: &[(Scope, ScopeVersion)], keys: Vec<i64>, plan: Plan) -> Result<Self> {
        let body = plan.encode()?;
        Ok(Self { expected: expected.to_vec(), keys, plan, body })
    }
}

/// A write that was recorded.
pub(super) struct Recorded {
    pub(super) seq: i64,
    /// The scopes it touches.
    pub(super) touched: BTreeSet<i64>,
}

/// What applying plans found out of entities.
#[derive(Default)]
pub(super) struct Applied {
    /// Those that went, since nobody names them any more.
    pub(super) unnamed: Vec<MemoryId>,
    /// Those that another program had removed, and the ones of that name that were linked instead.
    pub(super) instead: HashMap<MemoryId, MemoryId>,
}

/// What settling a write found out.
#[derive(Default)]
pub(super) struct Settled {
    /// Where the points put stand now.
    pub(super) listed: HashMap<MemoryId, Listed>,
    /// Whether anything but new memories came.
    pub(super) more_than_new: bool,
    /// The scope ids that were touched, with the version they were applied at.
    pub(super) applied: BTreeMap<i64, i64>,
}

/// The lock's numbers of scopes, sorted; of memories without a scope, one number for all.
pub(super) fn lock_keys<'s>(scopes: impl IntoIterator<Item = &'s Scope>) -> Vec<i64> {
    let mut keys = BTreeSet::new();
    for scope in scopes {
        if scope.is_empty() {
            keys.insert(0);
        }
        keys.extend(scope.ids().iter().enumerate().filter_map(|(kind, id)| id.map(|id| scope_lock(kind, id))));
    }
    keys.into_iter().collect()
}

/// Whether writes of this process were accepted and could not be applied.
#[derive(Default)]
pub(super) struct Stuck {
    /// How many there were, and of how many it is known that they were applied.
    met: AtomicU64,
    mended: AtomicU64,
}

impl Stuck {
    pub(super) fn is(&self) -> bool {
        self.met() != self.mended.load(Ordering::Acquire)
    }

    pub(super) fn meet(&self) {
        self.met.fetch_add(1, Ordering::AcqRel);
    }

    fn met(&self) -> u64 {
        self.met.load(Ordering::Acquire)
    }

    fn mend(&self, met: u64) {
        self.mended.fetch_max(met, Ordering::AcqRel);
    }
}

impl QdrantStore {
    /// Applies what is pending of these scopes, or of all. Whoever calls holds them.
    pub(super) fn drain(&self, hold: &Hold) -> Result<usize> {
        let pending = snapshot(self.ledger(), |sql| pending(sql))?;
        let concerns = |pending: &Pending| match hold {
            Hold::Everything => true,
            Hold::Keys(keys) => pending.keys.iter().any(|key| keys.contains(key)),
        };
        let mut drained = 0;
        for entry in pending.into_iter().filter(concerns) {
            if let Some(plan) = snapshot(self.ledger(), |sql| body(sql, entry.seq))? {
                let applied = self.perform(&[&plan])?;
                self.settle(&[(entry.seq, &plan)], &applied)?;
                drained += 1;
            }
        }
        if drained > 0 {
            tracing::info!(writes = drained, "applied what was pending");
        }
        Ok(drained)
    }

    /// Applies all that is pending, whosever it is.
    pub(super) fn drain_all(&self) -> Result<usize> {
        let met = self.inner.stuck.met();
        let mut drained = 0;
        for entry in snapshot(self.ledger(), |sql| pending(sql))? {
            let hold = Hold::Keys(entry.keys);
            let held = self.ledger().hold(&hold)?;
            // Another may have been faster.
            drained += self.drain(&hold)?;
            drop(held);
        }
        self.inner.stuck.mend(met);
        Ok(drained)
    }

    /// Applies what was accepted and could not be applied, before anything is read.
    pub(super) fn unstick(&self) -> Result<()> {
        if self.inner.stuck.is() { self.drain_all().map(drop) } else { Ok(()) }
    }

    /// Records writes; `None` for one whose scopes are not at the versions expected. From here on a crash can't undo them;
    /// once the ledger was synced, nor can a power cut, and they are accepted.
    pub(super) fn record(&self, writes: &[&Write]) -> Result<Vec<Option<Recorded>>> {
        transact_ahead(self.ledger(), |sql| writes.iter().map(|write| record(sql, write)).collect())
    }

    /// Takes a recorded plan back that Qdrant refused; what it had taken of it is removed where it is new.
    pub(super) fn take_back(&self, seq: i64, plan: &Plan) -> Result<()> {
        let mut new = Vec::new();
        snapshot(self.ledger(), |sql| {
            new.clear();
            for put in &plan.puts {
                if tables::listed(sql, put.memory.id)?.is_none() {
                    new.push(put.memory.id);
                }
            }
            Ok(())
        })?;
        let mut ids = new.chunks(AT_ONCE * 10);
        let removed = ids.try_for_each(|ids| {
            self.inner.client.wait(self.update(&self.inner.collections.memories, vec![deletion(ids)]))
        });
        transact(self.ledger(), Durability::Written, |sql| {
            sql.execute("DELETE FROM outbox WHERE seq = $1", &[Value::Int(seq)]).map(drop)
        })?;
        removed
    }

    /// Applies plans of different scopes to Qdrant; once or often, with the same result.
    pub(super) fn perform(&self, plans: &[&Plan]) -> Result<Applied> {
        self.inner.client.wait(async {
            let (points, entities) = tokio::join!(self.perform_points(plans), self.find_entities(plans));
            points?;
            let mut entities = entities?;
            for tries in 0.. {
                match self.perform_entities(plans, entities.0, entities.1).await {
                    Err(error) if matches!(error, StoreError::Unavailable { .. }) => return Err(error),
                    // Another program removed one since it was found.
                    Err(error) if tries < TRIES => {
                        tracing::debug!(%error, "entities are looked at again");
                        entities = self.find_entities(plans).await?;
                    }
                    // The points are there: the write can't be taken back any more, and what it names is the lesser half.
                    Err(error) if plans.len() == 1 => {
                        tracing::error!(%error, "a write was applied without its entities");
                        break;
                    }
                    done => return done,
                }
            }
            Ok(Applied::default())
        })
    }

    async fn perform_points(&self, plans: &[&Plan]) -> Result<()> {
        let has_bm25 = self.inner.collections.has_bm25;
        let puts: Vec<&Put> = plans.iter().flat_map(|plan| &plan.puts).collect();
        let kept: BTreeSet<MemoryId> = puts.iter().map(|put| put.memory.id).collect();
        let removed = plans.iter().flat_map(|plan| &plan.removed);
        let gone: Vec<MemoryId> = removed.copied().filter(|id| !kept.contains(id)).collect();
        for ids in gone.chunks(AT_ONCE * 10) {
            self.update(&self.inner.collections.memories, vec![deletion(ids)]).await?;
        }
        for puts in puts.chunks(AT_ONCE) {
            let points = puts
                .iter()
                .map(|put| point(put.memory.id, &put.memory.payload, &put.vector, has_bm25.then_some(&put.bm25)));
            let upsert = upsertion(points.collect::<Result<_>>()?);
            self.update(&self.inner.collections.memories, vec![upsert]).await?;
        }
        Ok(())
    }

    /// Sends updates of one collection and waits until they can be read.
    pub(super) async fn update(&self, collection: &str, operations: Vec<Operation>) -> Result<()> {
        let operations: Vec<PointsUpdateOperation> =
            operations.into_iter().map(|operation| PointsUpdateOperation { operation: Some(operation) }).collect();
        let asked = UpdateBatchPointsBuilder::new(collection, operations).wait(true).build();
        self.inner.client.send("update", |node| node.update_points_batch(asked.clone())).await.map(drop)
    }

    /// Brings the ledger up to plans that were applied, and ends them.
    pub(super) fn settle(&self, plans: &[(i64, &Plan)], applied: &Applied) -> Result<Vec<Settled>> {
        transact(self.ledger(), Durability::Written, |sql| {
            for id in applied.unnamed.iter().chain(applied.instead.keys()) {
                sql.execute("DELETE FROM entities WHERE id = $1", &[id_value(*id)])?;
            }
            let settled = plans.iter().map(|(seq, plan)| {
                if sql.execute("DELETE FROM outbox WHERE seq = $1", &[Value::Int(*seq)])? == 0 {
                    return Err(StoreError::Corrupt("a write was settled twice".into()));
                }
                settle(sql, plan, &applied.instead)
            });
            settled.collect()
        })
    }
}

fn record(sql: &mut dyn Sql, write: &Write) -> Result<Option<Recorded>> {
    match tables::expect_versions(sql, &write.expected) {
        Err(StoreError::Conflict) => return Ok(None),
        expected => expected?,
    }
    let plan = &write.plan;
    let mut touched = BTreeSet::new();
    for scope in &plan.scopes() {
        touched.extend(tables::make_scope_ids(sql, scope)?);
    }
    for id in plan.removed.iter().chain(plan.terms.iter().map(|(id, _)| id)).chain(&plan.stripped) {
        if let Some(listed) = tables::listed(sql, *id)? {
            touched.extend(listed.scopes);
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
    Ok(Some(Recorded { seq: tables::first_int(&rows)?, touched }))
}

fn settle(sql: &mut dyn Sql, plan: &Plan, instead: &HashMap<MemoryId, MemoryId>) -> Result<Settled> {
    let mut settled = Settled::default();
    // How many members a scope wins, and of those touched last.
    let mut scopes: BTreeMap<i64, Balance> = BTreeMap::new();
    for &id in &plan.removed {
        settled.more_than_new = true;
        if let Some(listed) = tables::listed(sql, id)? {
            leave(&mut scopes, &listed);
        }
        sql.execute("DELETE FROM memories WHERE id = $1", &[id_value(id)])?;
    }
    for put in &plan.puts {
        let old = tables::listed(sql, put.memory.id)?;
        if let Some(old) = &old {
            settled.more_than_new = true;
            leave(&mut scopes, old);
        }
        let own = tables::make_scope_ids(sql, &put.memory.payload.scope())?;
        let listed = tables::list(sql, &put.memory, &put.terms, put.holds_time_word, own)?;
        for scope in own.into_iter().filter(|scope| *scope != 0) {
            let balance = scopes.entry(scope).or_default();
            balance.members += 1;
            balance.newest = balance.newest.max(listed.touched.unwrap_or(0));
        }
        settled.listed.insert(put.memory.id, listed);
    }
    for (id, terms) in &plan.terms {
        settled.more_than_new = true;
        let rev = uuid::Uuid::new_v4().as_u64_pair().0 as i64;
        sql.execute(
            "UPDATE memories SET terms = $1, rev = $2 WHERE id = $3",
            &[Value::Bytes(terms_to_blob(terms)), Value::Int(rev), id_value(*id)],
        )?;
        if let Some(listed) = tables::listed(sql, *id)? {
            for scope in listed.scopes.into_iter().filter(|scope| *scope != 0) {
                scopes.entry(scope).or_default();
            }
        }
    }
    for entity in &plan.entities {
        let own = tables::make_scope_ids(sql, &entity.payload.scope())?;
        sql.execute(
            "INSERT INTO entities(id, user_scope, agent_scope, run_scope, name) VALUES($1, $2, $3, $4, $5)
             ON CONFLICT(id) DO NOTHING",
            &[
                id_value(*instead.get(&entity.id).unwrap_or(&entity.id)),
                Value::Int(own[0]),
                Value::Int(own[1]),
                Value::Int(own[2]),
                tables::short(Some(&entity.text().to_lowercase())),
            ],
        )?;
    }
    for row in &plan.rows {
        match row {
            LedgerRow::Link(link) => tables::insert_link(sql, link)?,
            LedgerRow::Unlink(id) => {
                sql.execute("DELETE FROM links WHERE source = $1 OR target = $1", &[id_value(*id)])?;
            }
            LedgerRow::History(event) => tables::insert_history(sql, event)?,
            LedgerRow::Message(message) => tables::insert_message(sql, message)?,
        }
    }
    // In rising order, so that two writers can't wait for each other.
    for (scope, balance) in scopes {
        let rows = sql.query(
            "UPDATE scopes SET version = version + 1, applied = applied + 1, members = members + $2,
               newest = CASE WHEN newest < $3 THEN $3 ELSE newest END
             WHERE id = $1 RETURNING applied",
            &[Value::Int(scope), Value::Int(balance.members), Value::Int(balance.newest)],
        )?;
        settled.applied.insert(scope, tables::first_int(&rows)?);
    }
    Ok(settled)
}

#[derive(Default)]
struct Balance {
    members: i64,
    newest: i64,
}

fn leave(scopes: &mut BTreeMap<i64, Balance>, listed: &Listed) {
    for scope in listed.scopes.into_iter().filter(|scope| *scope != 0) {
        scopes.entry(scope).or_default().members -= 1;
    }
}

fn pending(sql: &mut dyn Sql) -> Result<Vec<Pending>> {
    let rows = sql.query("SELECT seq, keys FROM outbox ORDER BY seq", &[])?;
    let entry = |row: &crate::database::Row| {
        let keys = row.bytes(1)?.as_chunks::<8>().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        Ok(Pending { seq: row.int(0)?, keys })
    };
    rows.iter().map(entry).collect()
}

fn body(sql: &mut dyn Sql, seq: i64) -> Result<Option<Plan>> {
    let rows = sql.query("SELECT body FROM outbox WHERE seq = $1", &[Value::Int(seq)])?;
    rows.first().map(|row| Plan::decode(row.bytes(0)?)).transpose()
}

pub(super) fn upsertion(points: Vec<PointStruct>) -> Operation {
    Operation::Upsert(PointStructList { points, ..PointStructList::default() })
}

pub(super) fn deletion(ids: &[MemoryId]) -> Operation {
    Operation::DeletePoints(DeletePoints { points: Some(selector(ids)), ..DeletePoints::default() })
}

pub(super) fn selector(ids: &[MemoryId]) -> PointsSelector {
    let ids = PointsIdsList { ids: ids.iter().copied().map(point_id).collect() };
    PointsSelector { points_selector_one_of: Some(points_selector::PointsSelectorOneOf::Points(ids)) }
}
