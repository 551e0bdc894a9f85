//! Point by point: what other programs did that counts don't tell, found now and then in the background, and on request.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use qdrant_client::qdrant::PayloadIncludeSelector;

use super::QdrantStore;
use super::codec::{memory_id, payload};
use super::sync::{Entered, Reach, bump};
use super::tables::{self, id_at, id_value, scope_is, scope_row};
use crate::database::{Value, snapshot, transact};
use crate::stable_hash::fnv;
use crate::{Durability, MemoryId, Payload, Result, keys};

/// Points looked at again at a time.
const AT_ONCE: usize = 1000;

/// How the ledger and Qdrant differ.
pub(super) struct Comparison {
    /// What Qdrant has.
    pub(super) there: HashSet<MemoryId>,
    /// What only one of them has, or each otherwise.
    pub(super) differing: Vec<MemoryId>,
}

impl QdrantStore {
    /// Compares scopes that are in use and were not compared for a while, and enters what differs.
    pub(super) fn compare_due(&self) -> Result<()> {
        for (kind, value) in self.inner.watch.due() {
            let reach = Reach::Carrying(kind, &value);
            let begun = Instant::now();
            let found = self.compare(reach)?;
            if !found.differing.is_empty() {
                let hold = reach.hold();
                let _held = self.ledger().hold(&hold)?;
                self.drain(&hold)?;
                if !self.agrees(reach)? {
                    self.enter(reach)?;
                }
                let entered = self.revisit(&found.differing)?;
                tracing::debug!(?reach, ?entered, "entered what counts do not tell");
            }
            self.inner.watch.compared(kind, &value, begun.elapsed());
        }
        Ok(())
    }

    /// Compares what is in reach. What is written meanwhile may differ, too.
    pub(super) fn compare(&self, reach: Reach<'_>) -> Result<Comparison> {
        let listed: HashMap<MemoryId, u64> = snapshot(self.ledger(), |sql| {
            let (condition, values) = match reach {
                Reach::Everything => (String::new(), Vec::new()),
                Reach::Carrying(kind, value) => {
                    let Some(row) = scope_row(sql, kind, value)? else { return Ok(HashMap::new()) };
                    (format!(" AND {}", scope_is(kind, 1)), vec![Value::Int(row.id)])
                }
            };
            let rows =
                sql.query(&format!("SELECT id, hash, touched FROM memories WHERE gone = 0{condition}"), &values)?;
            rows.iter().map(|row| Ok((id_at(row, 0)?, mark(row.opt_text(1)?, row.opt_int(2)?)))).collect()
        })?;
        let mut there = HashSet::with_capacity(listed.len());
        let mut differing = Vec::new();
        let marks = PayloadIncludeSelector { fields: [keys::HASH, keys::UPDATED_AT].map(str::to_owned).to_vec() };
        let memories = &self.inner.collections.memories;
        self.inner.client.wait(self.scroll_each(memories, reach.remote(), marks, false, |point| {
            let (id, payload) = (memory_id(point.id)?, payload(point.payload));
            let own = match tables::short(payload.str(keys::HASH)) {
                Value::Text(hash) => mark(Some(&hash), tables::touched(&payload)),
                _ => mark(None, tables::touched(&payload)),
            };
            if listed.get(&id) != Some(&own) {
                differing.push(id);
            }
            there.insert(id);
            Ok(())
        }))?;
        differing.extend(listed.into_keys().filter(|id| !there.contains(id)));
        Ok(Comparison { there, differing })
    }

    /// Enters these memories as they are, and marks those that are gone. Whoever calls holds them.
    pub(super) fn revisit(&self, ids: &[MemoryId]) -> Result<Entered> {
        let mut all = Entered::default();
        for part in ids.chunks(AT_ONCE) {
            let points: HashMap<MemoryId, Payload> =
                self.fetch(part, true, false)?.into_iter().map(|(id, point)| (id, payload(point.payload))).collect();
            let lost: Vec<MemoryId> = part.iter().copied().filter(|id| !points.contains_key(id)).collect();
            let entered = self.enter_points(points.into_iter().collect())?;
            let gone = transact(self.ledger(), Durability::Written, |sql| {
                let (mut gone, mut touched) = (0, BTreeSet::new());
                for id in &lost {
                    let Some(listed) = tables::listed(sql, *id)? else { continue };
                    touched.extend(listed.scopes);
                    gone += sql.execute("UPDATE memories SET gone = 1 WHERE id = $1", &[id_value(*id)])?;
                }
                bump(sql, &touched)?;
                Ok(gone)
            })?;
            all.fresh += entered.fresh;
            all.changed += entered.changed;
            all.gone += gone as i64;
        }
        Ok(all)
    }
}

/// What tells versions of a memory apart: its hash as the ledger has it, and when it was changed.
fn mark(hash: Option<&str>, touched: Option<i64>) -> u64 {
    let touched = touched.map_or([0; 9], |micros| {
        let mut bytes = [1; 9];
        bytes[1..].copy_from_slice(&micros.to_be_bytes());
        bytes
    });
    fnv(touched.into_iter().chain(hash.unwrap_or_default().bytes()))
}
