//! The provenances of memories, which the ledger holds.

use std::collections::HashMap;

use super::inner::Inner;
use super::tables::{PROVENANCE_COLUMNS, id_at, id_value, provenance_at};
use crate::database::snapshot;
use crate::{MemoryId, Provenance, Result};

/// Possible numbers of ids in one statement. A shorter list is filled up to the next number, so that there are few
/// different statements to prepare.
const ID_COUNTS: [usize; 3] = [4, 24, 128];

/// The provenances of those memories that the ledger knows.
pub(super) fn provenances(inner: &Inner, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Provenance>> {
    let mut found = HashMap::with_capacity(ids.len());
    if ids.is_empty() {
        return Ok(found);
    }
    snapshot(inner.ledger(), |sql| {
        for batch in ids.chunks(ID_COUNTS[ID_COUNTS.len() - 1]) {
            let count = ID_COUNTS.into_iter().find(|count| *count >= batch.len()).unwrap_or(batch.len());
            let parameters: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
            let last = batch.last().copied();
            let filled = batch.iter().copied().chain(std::iter::repeat_n(last, count - batch.len()).flatten());
            let rows = sql.query(
                &format!("SELECT id, {PROVENANCE_COLUMNS} FROM memories WHERE id IN ({})", parameters.join(", ")),
                &filled.map(id_value).collect::<Vec<_>>(),
            )?;
            for row in rows {
                found.insert(id_at(&row, 0)?, provenance_at(&row, 1)?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}
