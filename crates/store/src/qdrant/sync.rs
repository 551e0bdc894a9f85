//! Other programs write to the collection too: what they did is noticed here, and entered in the ledger.
//!
//! Whether they did anything costs two counts, which go on while a search does: how many points a scope has, and how many
//! of them were changed later than the latest change known. Python mem0 dates every change. What a program does whose clock
//! is behind ours may leave both as they are: a change, or a deletion and an addition between two looks. It is found within
//! a minute, when the scope is compared ([`super::compare`]).
//!
//! To count a scope's points takes as long as a search where there are many, so that Qdrant is asked for its estimate,
//! which comes from the index of the scope id and follows each addition and deletion. Where segments are being merged it
//! may be off for a while: how far is measured, and what it says is held against a count once a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, DatetimeRange, Filter as Remote, GetPointsBuilder, PointId, RetrievedPoint,
    ScrollPointsBuilder,
};

use super::QdrantStore;
use super::codec::{memory_id, payload, point_id};
use super::tables::{self, id_value, scope_is, scope_row};
use crate::database::{Hold, Sql, Value, snapshot, transact};
use crate::stable_hash::scope_lock;
use crate::{
    Durability, Look, Memory, MemoryId, Payload, Provenance, Result, SCOPE_KEYS, Scope, StoreError, View, keys,
};

/// Points of one answer.
const AT_ONCE: u32 = 1000;

/// What Qdrant says of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    members: i64,
    ahead: i64,
}

/// Whose points are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach<'r> {
    /// Those that carry a scope id, by kind.
    Carrying(usize, &'r str),
    /// All.
    Everything,
}

impl Reach<'_> {
    pub(super) fn remote(self) -> Remote {
        match self {
            Self::Carrying(kind, value) => Remote::must([Condition::matches(SCOPE_KEYS[kind], value.to_owned())]),
            Self::Everything => Remote::default(),
        }
    }

    /// The same, of those changed after a time in microseconds.
    fn after(self, micros: i64) -> Remote {
        let mut remote = self.remote();
        let newer = DatetimeRange {
            gt: Some(qdrant_client::qdrant::Timestamp {
                seconds: micros.div_euclid(1_000_000),
                nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
            }),
            ..DatetimeRange::default()
        };
        remote.must.push(Condition::datetime_range(keys::UPDATED_AT, newer));
        remote
    }

    pub(super) fn hold(self) -> Hold {
        match self {
            Self::Carrying(kind, value) => Hold::Keys(vec![scope_lock(kind, value)]),
            Self::Everything => Hold::Everything,
        }
    }
}

/// What Qdrant was seen to say of a scope.
struct Looked {
    counted: Counted,
    /// By how much its estimate was too high, if the points were counted.
    excess: Option<i64>,
}

/// What was entered of other programs' doing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entered {
    pub(super) fresh: i64,
    pub(super) changed: i64,
    pub(super) gone: i64,
}

impl Entered {
    pub(super) fn count(self) -> usize {
        usize::try_from(self.fresh + self.changed + self.gone).unwrap_or(0)
    }
}

/// What should be there, as far as is known here.
struct Known {
    counted: Counted,
    newest: i64,
}

impl QdrantStore {
    /// Looks whether other programs changed what is in reach, and if so enters it.
    pub(super) fn notice(&self, reach: Reach<'_>) -> Result<()> {
        self.unstick()?;
        // Where a writer of this process is at it, what differs is its write, which need not be seen yet.
        if self.inner.writers.writing(reach) || self.agrees(reach)? || self.inner.writers.writing(reach) {
            return Ok(());
        }
        self.enter_others(reach)
    }

    /// Enters what other programs changed before we write: once our change is the latest known, an earlier one of theirs
    /// would no longer stand out. Whoever calls holds the scopes.
    pub(super) fn catch_up(&self, scopes: &BTreeSet<Scope>) -> Result<()> {
        let ids = scopes.iter().flat_map(|scope| scope.ids().into_iter().enumerate());
        let carried: BTreeSet<(usize, &str)> = ids.filter_map(|(kind, id)| Some((kind, id?))).collect();
        for (kind, value) in carried {
            let reach = Reach::Carrying(kind, value);
            if !self.agrees(reach)? {
                self.enter(reach)?;
            }
        }
        Ok(())
    }

    fn enter_others(&self, reach: Reach<'_>) -> Result<()> {
        let hold = reach.hold();
        let _held = self.ledger().hold(&hold)?;
        self.drain(&hold)?;
        if self.agrees(reach)? {
            return Ok(());
        }
        self.enter(reach)
    }

    fn known(&self, sql: &mut dyn Sql, reach: Reach<'_>) -> Result<Known> {
        match reach {
            Reach::Carrying(kind, value) => {
                let row = scope_row(sql, kind, value)?;
                let counted =
                    Counted { members: row.map_or(0, |row| row.members), ahead: row.map_or(0, |row| row.ahead) };
                Ok(Known { counted, newest: row.map_or(0, |row| row.newest) })
            }
            Reach::Everything => {
                let rows = sql.query("SELECT count(*), coalesce(max(touched), 0) FROM memories WHERE gone = 0", &[])?;
                let Some(row) = rows.first() else {
                    return Err(StoreError::Corrupt("the ledger counted nothing".into()));
                };
                Ok(Known { counted: Counted { members: row.int(0)?, ahead: 0 }, newest: row.int(1)? })
            }
        }
    }

    pub(super) fn agrees(&self, reach: Reach<'_>) -> Result<bool> {
        let known = snapshot(self.ledger(), |sql| self.known(sql, reach))?;
        let excess = self.inner.watch.excess(reach);
        let looked = self.inner.client.wait(self.looked(reach.remote(), reach.after(known.newest), excess))?;
        self.judge(reach, &known, looked)
    }

    /// Whether what Qdrant said of a scope is what is known of it. An estimate that differs is held against a count.
    fn judge(&self, reach: Reach<'_>, known: &Known, looked: Looked) -> Result<bool> {
        if let Some(excess) = looked.excess {
            self.inner.watch.learn(reach, excess);
        }
        if looked.counted == known.counted {
            return Ok(true);
        }
        if looked.excess.is_some() || looked.counted.ahead != known.counted.ahead {
            return Ok(false);
        }
        let looked = self.inner.client.wait(self.looked(reach.remote(), reach.after(known.newest), None))?;
        self.judge(reach, known, looked)
    }

    fn count(&self, reach: Reach<'_>, newest: i64) -> Result<Counted> {
        self.inner.client.wait(self.looked(reach.remote(), reach.after(newest), None)).map(|looked| looked.counted)
    }

    /// Asks for both numbers; for the first by an estimate and what it was too high by, where that is known.
    async fn looked(&self, all: Remote, late: Remote, excess: Option<i64>) -> Result<Looked> {
        let ask = |filter: &Remote, exact: bool| {
            let asked =
                CountPointsBuilder::new(&self.inner.collections.memories).filter(filter.clone()).exact(exact).build();
            async move {
                let answer = self.inner.client.send("count", |node| node.count(asked.clone())).await?;
                Ok::<i64, StoreError>(answer.result.map_or(0, |count| count.count as i64))
            }
        };
        if let Some(excess) = excess {
            let (estimate, ahead) = tokio::try_join!(ask(&all, false), ask(&late, true))?;
            return Ok(Looked { counted: Counted { members: estimate - excess, ahead }, excess: None });
        }
        let (estimate, members, ahead) = tokio::try_join!(ask(&all, false), ask(&all, true), ask(&late, true))?;
        Ok(Looked { counted: Counted { members, ahead }, excess: Some(estimate - members) })
    }

    /// [`Self::notice`] beside reads of the view. What they show is what the ledger knew when this began, or later: if
    /// Qdrant, asked since, counts just that, nothing was missed.
    pub(super) fn look_out(&self, view: &View<'_>) -> Result<Option<Look<'_>>> {
        let scope = Scope::pinned_by(view.filter);
        let reach = Self::reach(&scope);
        let in_full = self.inner.stuck.is()
            || view.filter.scope().is_contradiction()
            || matches!(reach, Reach::Everything)
            || self.inner.writers.writing(reach);
        if in_full || view.checked.replace(true) {
            return Ok(None);
        }
        let known = snapshot(self.ledger(), |sql| self.known(sql, reach))?;
        let (all, late) = (reach.remote(), reach.after(known.newest));
        let excess = self.inner.watch.excess(reach);
        let looking = self.start(move |store| async move { store.looked(all, late, excess).await });
        Ok(Some(Box::new(move || {
            let reach = Self::reach(&scope);
            let looked = self.inner.client.finish(looking)?;
            if self.judge(reach, &known, looked)? || self.inner.writers.writing(reach) {
                return Ok(true);
            }
            self.notice(reach)?;
            Ok(false)
        })))
    }

    /// Enters what other programs changed. Whoever calls holds what is in reach.
    pub(super) fn enter(&self, reach: Reach<'_>) -> Result<()> {
        let known = snapshot(self.ledger(), |sql| self.known(sql, reach))?;
        let counted = self.count(reach, known.newest)?;
        // Mostly something was added or changed a moment ago.
        let late = self.scroll(reach.after(known.newest))?;
        let fresh = self.enter_points(late)?.fresh;
        let wanted = counted.members - known.counted.members;
        let mut gone = 0;
        if fresh != wanted {
            gone = self.revisit(&self.compare(reach)?.differing)?.gone;
        }
        if let Reach::Carrying(kind, value) = reach {
            let mut scope = Scope::default();
            *[&mut scope.user_id, &mut scope.agent_id, &mut scope.run_id][kind] = Some(value.to_owned());
            // What was counted before it was read, never after: a write of another program in between would be counted
            // without being entered, and never show as a difference again.
            let latest = || snapshot(self.ledger(), |sql| newest(sql, kind, value));
            let mut newest = latest()?;
            let mut members = counted.members;
            let ahead = loop {
                let ahead = self.count(reach, newest)?.ahead;
                if ahead == 0 {
                    break ahead;
                }
                members += self.enter_points(self.scroll(reach.after(newest))?)?.fresh;
                let risen = latest()?;
                // What is left is dated far ahead.
                if risen == newest {
                    break ahead;
                }
                newest = risen;
            };
            transact(self.ledger(), Durability::Written, |sql| {
                tables::make_scope_ids(sql, &scope)?;
                sql.execute(
                    "UPDATE scopes SET version = version + 1, applied = applied + 1, members = $3, newest = $4, ahead = $5
                     WHERE kind = $1 AND value = $2",
                    &[
                        Value::Int(kind as i64),
                        Value::Text(value.to_owned()),
                        Value::Int(members),
                        Value::Int(newest),
                        Value::Int(ahead),
                    ],
                )
                .map(drop)
            })?;
        }
        tracing::debug!(?reach, fresh, gone, "entered what another program changed");
        Ok(())
    }

    /// Points with their payloads.
    fn scroll(&self, filter: Remote) -> Result<Vec<(MemoryId, Payload)>> {
        let points = self.scroll_points(filter, true)?;
        points.into_iter().map(|point| Ok((memory_id(point.id)?, payload(point.payload)))).collect()
    }

    /// All points of memories that a filter matches, without vectors.
    pub(super) fn scroll_points(&self, filter: Remote, with_payload: bool) -> Result<Vec<RetrievedPoint>> {
        let memories = &self.inner.collections.memories;
        self.inner.client.wait(self.scroll_all(memories, filter, with_payload, false))
    }

    /// All points of a collection that a filter matches.
    pub(super) async fn scroll_all(
        &self,
        collection: &str,
        filter: Remote,
        with_payload: bool,
        with_vectors: bool,
    ) -> Result<Vec<RetrievedPoint>> {
        let mut found = Vec::new();
        let keep = |point| {
            found.push(point);
            Ok(())
        };
        self.scroll_each(collection, filter, with_payload, with_vectors, keep).await?;
        Ok(found)
    }

    /// Visits all points of a collection that a filter matches.
    pub(super) async fn scroll_each(
        &self,
        collection: &str,
        filter: Remote,
        with_payload: impl Into<SelectorOptions>,
        with_vectors: bool,
        mut visit: impl FnMut(RetrievedPoint) -> Result<()>,
    ) -> Result<()> {
        let mut asked = ScrollPointsBuilder::new(collection)
            .filter(filter)
            .limit(AT_ONCE)
            .with_payload(with_payload)
            .with_vectors(with_vectors)
            .build();
        loop {
            let answer = self.inner.client.send("scroll", |node| node.scroll(asked.clone())).await?;
            answer.result.into_iter().try_for_each(&mut visit)?;
            asked.offset = answer.next_page_offset;
            if asked.offset.is_none() {
                return Ok(());
            }
        }
    }

    /// Enters points that are new, or other than they were.
    pub(super) fn enter_points(&self, mut points: Vec<(MemoryId, Payload)>) -> Result<Entered> {
        // In the order they were made, as far as that is known.
        points.sort_by_key(|(id, payload)| (payload.created_at(), *id));
        let mut entered = Entered::default();
        for part in points.chunks(AT_ONCE as usize) {
            let (fresh, changed) = transact(self.ledger(), Durability::Written, |sql| {
                let (mut fresh, mut changed) = (0, 0);
                let mut touched: BTreeSet<i64> = BTreeSet::new();
                for (id, payload) in part {
                    let rows = sql.query(
                        "SELECT gone, hash, touched, user_scope, agent_scope, run_scope FROM memories WHERE id = $1",
                        &[id_value(*id)],
                    )?;
                    let mut memory = Memory { id: *id, payload: payload.clone(), provenance: Provenance::default() };
                    let scopes = tables::make_scope_ids(sql, &payload.scope())?;
                    match rows.first() {
                        Some(row) => {
                            let was_gone = row.int(0)? != 0;
                            let same = row.0.get(1) == Some(&tables::short(payload.str(keys::HASH)))
                                && row.opt_int(2)? == tables::touched(payload)
                                && [row.int(3)?, row.int(4)?, row.int(5)?] == scopes;
                            if !was_gone && same {
                                continue;
                            }
                            *(if was_gone { &mut fresh } else { &mut changed }) += 1;
                            memory.provenance = tables::provenance(sql, *id)?;
                            touched.extend([row.int(3)?, row.int(4)?, row.int(5)?]);
                        }
                        None => fresh += 1,
                    }
                    let (terms, holds_time_word) = (self.inner.describe)(payload);
                    tables::list(sql, &memory, &terms, holds_time_word, scopes)?;
                    touched.extend(scopes);
                }
                bump(sql, &touched)?;
                Ok((fresh, changed))
            })?;
            entered.fresh += fresh;
            entered.changed += changed;
        }
        Ok(entered)
    }

    /// Points by id.
    pub(super) fn fetch(
        &self,
        ids: &[MemoryId],
        with_payload: bool,
        with_vectors: bool,
    ) -> Result<HashMap<MemoryId, RetrievedPoint>> {
        let distinct: BTreeSet<MemoryId> = ids.iter().copied().collect();
        self.inner.client.wait(self.fetching(distinct, with_payload, with_vectors))
    }

    pub(super) async fn fetching(
        &self,
        ids: BTreeSet<MemoryId>,
        with_payload: bool,
        with_vectors: bool,
    ) -> Result<HashMap<MemoryId, RetrievedPoint>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<PointId> = ids.into_iter().map(point_id).collect();
        let asked = GetPointsBuilder::new(&self.inner.collections.memories, ids)
            .with_payload(with_payload)
            .with_vectors(with_vectors)
            .build();
        let answer = self.inner.client.send("get", |node| node.get_points(asked.clone())).await?;
        answer.result.into_iter().map(|point| Ok((memory_id(point.id.clone())?, point))).collect()
    }
}

/// The latest change of a scope's memories, unless it lies ahead of us.
fn newest(sql: &mut dyn Sql, kind: usize, value: &str) -> Result<i64> {
    let Some(row) = scope_row(sql, kind, value)? else { return Ok(0) };
    let soon = jiff::Timestamp::now().as_microsecond() + 3_600_000_000;
    let rows = sql.query(
        &format!(
            "SELECT coalesce(max(touched), 0) FROM memories WHERE gone = 0 AND {} AND touched < $2",
            scope_is(kind, 1)
        ),
        &[Value::Int(row.id), Value::Int(soon)],
    )?;
    tables::first_int(&rows)
}

/// Tells readers of scopes that something changed.
pub(super) fn bump(sql: &mut dyn Sql, scopes: &BTreeSet<i64>) -> Result<()> {
    for scope in scopes.iter().filter(|scope| **scope != 0) {
        sql.execute(
            "UPDATE scopes SET version = version + 1, applied = applied + 1 WHERE id = $1",
            &[Value::Int(*scope)],
        )?;
    }
    Ok(())
}

/// Who writes in this process: how many, by the lock's number of a scope id.
#[derive(Default)]
pub(super) struct Writers(parking_lot::Mutex<BTreeMap<i64, usize>>);

/// Counted as writing until it is dropped.
pub(super) struct Writing<'w> {
    writers: &'w Writers,
    keys: Vec<i64>,
}

impl Writers {
    pub(super) fn begin(&self, keys: &[i64]) -> Writing<'_> {
        let mut writers = self.0.lock();
        for key in keys {
            *writers.entry(*key).or_default() += 1;
        }
        Writing { writers: self, keys: keys.to_vec() }
    }

    fn writing(&self, reach: Reach<'_>) -> bool {
        let writers = self.0.lock();
        match reach {
            Reach::Carrying(kind, value) => writers.contains_key(&scope_lock(kind, value)),
            Reach::Everything => !writers.is_empty(),
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut writers = self.writers.0.lock();
        for key in &self.keys {
            let left = writers.get_mut(key).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                writers.remove(key);
            }
        }
    }
}
