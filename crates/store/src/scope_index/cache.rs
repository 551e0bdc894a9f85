//! The cache of scope indexes: loaded on first use, updated by writes, and dropped in the order of last use when the cache
//! is full.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{ArcRwLockReadGuard, ArcRwLockWriteGuard, Mutex, RawRwLock, RwLock};

use super::index::ScopeIndex;

type Slot = Option<ScopeIndex>;
/// An index that is locked for reading.
pub(crate) type IndexRead = ArcRwLockReadGuard<RawRwLock, Slot>;
/// An index that is locked for writing.
pub(crate) type IndexWrite = ArcRwLockWriteGuard<RawRwLock, Slot>;

#[derive(Default)]
struct CacheEntry {
    index: Arc<RwLock<Slot>>,
    last_used: AtomicU64,
    bytes: AtomicUsize,
}

/// Indexes by scope id.
pub(crate) struct Cache {
    entries: Mutex<HashMap<i64, Arc<CacheEntry>>>,
    clock: AtomicU64,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: Mutex::default(), clock: AtomicU64::new(0), limit }
    }

    fn entry(&self, scope: i64) -> Arc<CacheEntry> {
        let entry = Arc::clone(self.entries.lock().entry(scope).or_default());
        entry.last_used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        entry
    }

    pub(crate) fn read(&self, scope: i64) -> IndexRead {
        self.entry(scope).index.read_arc()
    }

    pub(crate) fn write(&self, scope: i64) -> IndexWrite {
        self.entry(scope).index.write_arc()
    }

    /// Locks the indexes of those scopes that are in the cache, for the duration of a commit.
    pub(crate) fn write_present(&self, scopes: impl Iterator<Item = i64>) -> Vec<(i64, IndexWrite)> {
        let present: Vec<_> = {
            let entries = self.entries.lock();
            scopes.filter_map(|scope| Some((scope, Arc::clone(entries.get(&scope)?)))).collect()
        };
        present.into_iter().map(|(scope, entry)| (scope, entry.index.write_arc())).collect()
    }

    /// Records the size of an index. Then drops other indexes, least recently used first, until all fit into the limit.
    pub(crate) fn set_size(&self, scope: i64, bytes: usize) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&scope) {
            entry.bytes.store(bytes, Ordering::Relaxed);
        }
        let mut total: usize = entries.values().map(|entry| entry.bytes.load(Ordering::Relaxed)).sum();
        while total > self.limit {
            let oldest = entries
                .iter()
                .filter(|(other, entry)| **other != scope && entry.bytes.load(Ordering::Relaxed) > 0)
                .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
                .map(|(other, _)| *other);
            // Threads that use the index continue with it; it is freed after the last of them.
            let Some(entry) = oldest.and_then(|oldest| entries.remove(&oldest)) else { break };
            total -= entry.bytes.load(Ordering::Relaxed);
        }
    }
}
