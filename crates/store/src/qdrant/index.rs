//! Scopes in memory: rows from the ledger, vectors from Qdrant, kept current by writes and compared with the ledger before use.

use std::collections::{BTreeMap, HashMap};

use super::QdrantStore;
use super::codec::{memory_id, point_id, vectors};
use super::outbox::Settled;
use super::plan::Plan;
use super::tables::{ScopeRow, id_at, scope_is, scope_row};
use crate::database::{Value, snapshot};
use crate::scope_index::{Entry, IndexRead, IndexWrite, ScopeIndex, terms_from_blob};
use crate::{MemoryId, Payload, Result, keys};
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions;
use qdrant_client::qdrant::{GetPointsBuilder, VectorsSelector};

/// Points of one request, and requests under way at once.
const AT_ONCE: usize = 500;
const REQUESTS: usize = 4;

impl QdrantStore {
    /// The index of a scope id, as the ledger has the scope now or later; `None` where it has none.
    pub(super) fn index(&self, kind: usize, row: &ScopeRow) -> Result<Option<IndexRead>> {
        let fits = |index: &ScopeIndex| index.version >= row.applied;
        let held = self.inner.cache.read(row.id);
        if held.as_ref().is_some_and(fits) {
            return Ok(Some(held));
        }
        drop(held);
        let mut guard = self.inner.cache.write(row.id);
        if !guard.as_ref().is_some_and(fits) {
            let fresh = self.build(kind, row.id, guard.take())?;
            self.inner.cache.settle(row.id, fresh.bytes());
            *guard = Some(fresh);
        }
        Ok(Some(IndexWrite::downgrade(guard)))
    }

    /// Reads a scope's rows anew, and the vectors of those that are new or changed.
    fn build(&self, kind: usize, scope: i64, old: Option<ScopeIndex>) -> Result<ScopeIndex> {
        let (applied, rows) = snapshot(self.ledger(), |sql| {
            let applied = super::tables::first_int(
                &sql.query("SELECT applied FROM scopes WHERE id = $1", &[Value::Int(scope)])?,
            )?;
            let rows = sql.query(
                &format!(
                    "SELECT seq, id, user_scope, agent_scope, run_scope, session, position, day, expires, time_word,
                            actor, role, terms, rev
                     FROM memories WHERE gone = 0 AND {} ORDER BY seq",
                    scope_is(kind, 1)
                ),
                &[Value::Int(scope)],
            )?;
            Ok((applied, rows))
        })?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut speaker = Payload::default();
            for (column, key) in [(10, keys::ACTOR_ID), (11, keys::ROLE)] {
                if let Some(name) = row.opt_text(column)? {
                    speaker.set(key, name);
                }
            }
            let (actor, role) = Entry::speaker(&speaker);
            entries.push(Entry {
                slot: row.int(0)?,
                id: id_at(row, 1)?,
                scopes: [row.int(2)?, row.int(3)?, row.int(4)?],
                session: row.int(5)?,
                position: row.opt_int(6)?.and_then(|position| u32::try_from(position).ok()),
                day: row.opt_int(7)?.map(|day| day as i32),
                expires: row.opt_int(8)?.map(|day| day as i32),
                holds_time_word: row.int(9)? != 0,
                actor,
                role,
                terms: terms_from_blob(row.bytes(12)?)?,
                rev: row.int(13)?,
            });
        }
        drop(rows);
        let mut index = ScopeIndex::empty(self.inner.dims, applied);
        index.reserve(entries.len());
        let kept: HashMap<(i64, i64), u32> =
            old.iter().flat_map(|old| old.living().map(|(at, row)| ((row.slot, row.rev), at))).collect();
        let wanted: Vec<MemoryId> =
            entries.iter().filter(|entry| !kept.contains_key(&(entry.slot, entry.rev))).map(|entry| entry.id).collect();
        let mut fetched = self.fetch_vectors(&wanted)?;
        let dims = self.inner.dims;
        for entry in entries {
            let reused = kept.get(&(entry.slot, entry.rev)).zip(old.as_ref());
            if let Some((&at, old)) = reused {
                index.push(entry, old.vector(at));
            } else if let Some(mut vector) = fetched.remove(&entry.id) {
                // A point of another program may lack the dense vector.
                vector.resize(dims, 0.0);
                index.push(entry, &vector);
            }
        }
        Ok(index)
    }

    /// Dense vectors by id, of those that are there.
    fn fetch_vectors(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Vec<f32>>> {
        let client = &self.inner.client;
        let mut found = HashMap::with_capacity(ids.len());
        for group in ids.chunks(AT_ONCE * REQUESTS) {
            let requests: Vec<_> = group
                .chunks(AT_ONCE)
                .map(|part| {
                    GetPointsBuilder::new(
                        &self.inner.collections.memories,
                        part.iter().copied().map(point_id).collect::<Vec<_>>(),
                    )
                    .with_payload(false)
                    .with_vectors(SelectorOptions::Include(VectorsSelector {
                        names: vec![super::codec::DENSE.to_owned()],
                    }))
                    .build()
                })
                .collect();
            let answers = client.wait(async {
                let sent = requests.iter().map(|asked| client.send("get", move |node| node.get_points(asked.clone())));
                futures_util::future::join_all(sent).await
            });
            for answer in answers {
                for point in answer?.result {
                    found.insert(memory_id(point.id)?, vectors(point.vectors).0);
                }
            }
        }
        Ok(found)
    }

    /// Adds what was just settled to the indexes that are in memory, where that is all that changed; else they are
    /// compared with the ledger before they are used again.
    pub(super) fn follow(&self, indexes: &mut [(i64, IndexWrite)], plan: &Plan, settled: &Settled) {
        let mut order: BTreeMap<i64, usize> = BTreeMap::new();
        for (at, put) in plan.puts.iter().enumerate() {
            order.extend(settled.listed.get(&put.memory.id).map(|listed| (listed.seq, at)));
        }
        for (scope, guard) in indexes {
            let (Some(&applied), Some(index)) = (settled.applied.get(scope), guard.as_mut()) else { continue };
            if settled.more_than_new || index.version + 1 != applied {
                continue;
            }
            let mut in_order = true;
            for &at in order.values() {
                let put = &plan.puts[at];
                let Some(listed) = settled.listed.get(&put.memory.id).filter(|listed| listed.scopes.contains(scope))
                else {
                    continue;
                };
                in_order &= index.insert(entry(put, listed), &put.vector, &put.bm25);
            }
            if in_order {
                index.version = applied;
                self.inner.cache.settle(*scope, index.bytes());
            } else {
                **guard = None;
                self.inner.cache.settle(*scope, 0);
            }
        }
    }

    /// What the ledger knows of the scope ids a filter pins, by kind; `None` where one of them was never met.
    pub(super) fn pinned(&self, ids: [Option<&str>; 3]) -> Result<Option<[Option<ScopeRow>; 3]>> {
        snapshot(self.ledger(), |sql| {
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
}

fn entry(put: &super::plan::Put, listed: &super::tables::Listed) -> Entry {
    let payload = &put.memory.payload;
    let (actor, role) = Entry::speaker(payload);
    let day =
        put.memory.happened_at().map(|at| crate::scope_index::day_number(at.to_zoned(jiff::tz::TimeZone::UTC).date()));
    Entry {
        slot: listed.seq,
        id: put.memory.id,
        scopes: listed.scopes,
        session: listed.session,
        position: put.memory.provenance.position,
        actor,
        role,
        day,
        expires: payload.expiration_date().map(crate::scope_index::day_number),
        holds_time_word: put.holds_time_word,
        terms: put.terms.clone(),
        rev: listed.rev,
    }
}
