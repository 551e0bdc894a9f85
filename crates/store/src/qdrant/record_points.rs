//! Records points that other programs wrote or deleted in the ledger.

use std::collections::{BTreeSet, HashMap};

use super::codec::payload;
use super::inner::Inner;
use super::points::fetch;
use super::tables::{
    ensure_scope_ids, id_value, increment_versions, indexable_text, memory_row, provenance, updated_micros,
    write_memory_row,
};
use crate::database::transact;
use crate::{Durability, Memory, MemoryId, Payload, Provenance, Result, keys};

/// Points in one transaction.
const BATCH: usize = 1000;

/// How many changes by other programs were recorded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordedChanges {
    pub(super) added: i64,
    pub(super) changed: i64,
    pub(super) deleted: i64,
}

impl RecordedChanges {
    pub(super) fn total(self) -> usize {
        usize::try_from(self.added + self.changed + self.deleted).unwrap_or(0)
    }
}

/// Records points that are new or differ from their rows.
pub(super) fn record_points(inner: &Inner, mut points: Vec<(MemoryId, Payload)>) -> Result<RecordedChanges> {
    // In the order of their creation, if it is known.
    points.sort_by_key(|(id, payload)| (payload.created_at(), *id));
    let mut recorded = RecordedChanges::default();
    for batch in points.chunks(BATCH) {
        let (added, changed) = transact(inner.ledger(), Durability::Written, |sql| {
            let (mut added, mut changed) = (0, 0);
            let mut touched: BTreeSet<i64> = BTreeSet::new();
            for (id, payload) in batch {
                let rows = sql.query(
                    "SELECT gone, hash, touched, user_scope, agent_scope, run_scope FROM memories WHERE id = $1",
                    &[id_value(*id)],
                )?;
                let mut memory = Memory { id: *id, payload: payload.clone(), provenance: Provenance::default() };
                let scopes = ensure_scope_ids(sql, &payload.scope())?;
                match rows.first() {
                    Some(row) => {
                        let was_deleted = row.int(0)? != 0;
                        let old_scopes = [row.int(3)?, row.int(4)?, row.int(5)?];
                        let unchanged = row.0.get(1) == Some(&indexable_text(payload.str(keys::HASH)))
                            && row.opt_int(2)? == updated_micros(payload)
                            && old_scopes == scopes;
                        if !was_deleted && unchanged {
                            continue;
                        }
                        *(if was_deleted { &mut added } else { &mut changed }) += 1;
                        memory.provenance = provenance(sql, *id)?;
                        touched.extend(old_scopes);
                    }
                    None => added += 1,
                }
                let (terms, holds_time_word) = (inner.describe)(payload);
                write_memory_row(sql, &memory, &terms, holds_time_word, scopes)?;
                touched.extend(scopes);
            }
            increment_versions(sql, touched)?;
            Ok((added, changed))
        })?;
        recorded.added += added;
        recorded.changed += changed;
    }
    Ok(recorded)
}

/// Reads these points again, records them, and marks rows without a point as deleted. The caller holds the locks of their
/// scopes.
pub(super) fn record_current_points(inner: &Inner, ids: &[MemoryId]) -> Result<RecordedChanges> {
    let mut total = RecordedChanges::default();
    for batch in ids.chunks(BATCH) {
        let points: HashMap<MemoryId, Payload> =
            fetch(inner, batch, true, false)?.into_iter().map(|(id, point)| (id, payload(point.payload))).collect();
        let missing: Vec<MemoryId> = batch.iter().copied().filter(|id| !points.contains_key(id)).collect();
        let recorded = record_points(inner, points.into_iter().collect())?;
        let deleted = transact(inner.ledger(), Durability::Written, |sql| {
            let (mut deleted, mut touched) = (0, BTreeSet::new());
            for id in &missing {
                let Some(row) = memory_row(sql, *id)? else { continue };
                touched.extend(row.scopes);
                deleted += sql.execute("UPDATE memories SET gone = 1 WHERE id = $1", &[id_value(*id)])?;
            }
            increment_versions(sql, touched)?;
            Ok(deleted)
        })?;
        total.added += recorded.added;
        total.changed += recorded.changed;
        total.deleted += deleted as i64;
    }
    Ok(total)
}
