//! Lock keys of scopes, and the writers of this process.

use std::collections::{BTreeMap, BTreeSet};

use super::point_set::PointSet;
use crate::Scope;
use crate::stable_hash::scope_lock;

/// The lock keys of scopes, sorted. All memories without a scope share one key.
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

/// The writers of this process: their number, by lock key.
#[derive(Default)]
pub(super) struct ActiveWriters(parking_lot::Mutex<BTreeMap<i64, usize>>);

/// Counts as a writer until it is dropped.
pub(super) struct ActiveWriter<'w> {
    writers: &'w ActiveWriters,
    keys: Vec<i64>,
}

impl ActiveWriters {
    pub(super) fn begin(&self, keys: &[i64]) -> ActiveWriter<'_> {
        let mut writers = self.0.lock();
        for key in keys {
            *writers.entry(*key).or_default() += 1;
        }
        ActiveWriter { writers: self, keys: keys.to_vec() }
    }

    /// Whether this process is writing to any of these points.
    pub(super) fn write_to(&self, points: PointSet<'_>) -> bool {
        let writers = self.0.lock();
        match points {
            PointSet::WithScopeId(kind, value) => writers.contains_key(&scope_lock(kind, value)),
            PointSet::All => !writers.is_empty(),
        }
    }
}

impl Drop for ActiveWriter<'_> {
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
