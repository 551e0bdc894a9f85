//! Compares the ledger with Qdrant, point by point. This finds changes by other programs that counts do not show. It runs in
//! the background from time to time, and on request.

use std::collections::{HashMap, HashSet};

use qdrant_client::qdrant::PayloadIncludeSelector;

use super::codec::{memory_id, payload};
use super::inner::Inner;
use super::point_set::PointSet;
use super::points::scroll_each;
use super::tables::{EXISTS, has_scope_id, id_at, indexable_text, scope_row, updated_micros};
use crate::database::{Value, snapshot};
use crate::stable_hash::fnv;
use crate::{MemoryId, Result, keys};

/// The differences between the ledger and Qdrant.
pub(super) struct Comparison {
    /// The memories in Qdrant.
    pub(super) existing: HashSet<MemoryId>,
    /// The memories that only one of them has, or that differ.
    pub(super) differing: Vec<MemoryId>,
}

/// Compares a set of points. Points that are written during the comparison may be reported as differing.
pub(super) fn compare(inner: &Inner, points: PointSet<'_>) -> Result<Comparison> {
    let in_ledger: HashMap<MemoryId, u64> = snapshot(inner.ledger(), |sql| {
        let (condition, values) = match points {
            PointSet::All => (String::new(), Vec::new()),
            PointSet::WithScopeId(kind, value) => {
                let Some(row) = scope_row(sql, kind, value)? else { return Ok(HashMap::new()) };
                (format!(" AND {}", has_scope_id(kind, 1)), vec![Value::Int(row.id)])
            }
        };
        let rows = sql.query(&format!("SELECT id, hash, touched FROM memories WHERE {EXISTS}{condition}"), &values)?;
        rows.iter().map(|row| Ok((id_at(row, 0)?, digest(row.opt_text(1)?, row.opt_int(2)?)))).collect()
    })?;
    let mut existing = HashSet::with_capacity(in_ledger.len());
    let mut differing = Vec::new();
    let fields = PayloadIncludeSelector { fields: [keys::HASH, keys::UPDATED_AT].map(str::to_owned).to_vec() };
    let memories = &inner.collections.memories;
    inner.client.wait(scroll_each(inner, memories, points.filter(), fields, false, |point| {
        let (id, payload) = (memory_id(point.id)?, payload(point.payload));
        let own = match indexable_text(payload.str(keys::HASH)) {
            Value::Text(hash) => digest(Some(&hash), updated_micros(&payload)),
            _ => digest(None, updated_micros(&payload)),
        };
        if in_ledger.get(&id) != Some(&own) {
            differing.push(id);
        }
        existing.insert(id);
        Ok(())
    }))?;
    differing.extend(in_ledger.into_keys().filter(|id| !existing.contains(id)));
    Ok(Comparison { existing, differing })
}

/// A digest that differs between versions of a memory: of its hash in the form that the ledger stores, and of its time of
/// update.
fn digest(hash: Option<&str>, updated: Option<i64>) -> u64 {
    let updated = updated.map_or([0; 9], |micros| {
        let mut bytes = [1; 9];
        bytes[1..].copy_from_slice(&micros.to_be_bytes());
        bytes
    });
    fnv(updated.into_iter().chain(hash.unwrap_or_default().bytes()))
}
