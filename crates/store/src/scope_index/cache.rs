//! The scopes kept in memory: read on first use, kept current by writes, the longest unused dropped when room runs out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{ArcRwLockReadGuard, ArcRwLockWriteGuard, Mutex, RawRwLock, RwLock};

use super::index::ScopeIndex;

type Slot = Option<ScopeIndex>;
/// An index held for reading.
pub(crate) type IndexRead = ArcRwLockReadGuard<RawRwLock, Slot>;
/// An index held for writing.
pub(crate) type IndexWrite = ArcRwLockWriteGuard<RawRwLock, Slot>;

#[derive(Default)]
struct Place {
    index: Arc<RwLock<Slot>>,
    used: AtomicU64,
    bytes: AtomicUsize,
}

/// Indexes by scope id.
pub(crate) struct Cache {
    places: Mutex<HashMap<i64, Arc<Place>>>,
    clock: AtomicU64,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { places: Mutex::default(), clock: AtomicU64::new(0), limit }
    }

    fn place(&self, scope: i64) -> Arc<Place> {
        let place = Arc::clone(self.places.lock().entry(scope).or_default());
        place.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        place
    }

    pub(crate) fn read(&self, scope: i64) -> IndexRead {
        self.place(scope).index.read_arc()
    }

    pub(crate) fn write(&self, scope: i64) -> IndexWrite {
        self.place(scope).index.write_arc()
    }

    /// Locks those of the scopes that are in memory, for the time of a commit.
    pub(crate) fn write_present(&self, scopes: impl Iterator<Item = i64>) -> Vec<(i64, IndexWrite)> {
        let present: Vec<_> = {
            let places = self.places.lock();
            scopes.filter_map(|scope| Some((scope, Arc::clone(places.get(&scope)?)))).collect()
        };
        present.into_iter().map(|(scope, place)| (scope, place.index.write_arc())).collect()
    }

    /// Notes how large an index has become and drops others, longest unused first, until all fit.
    pub(crate) fn settle(&self, scope: i64, bytes: usize) {
        let mut places = self.places.lock();
        if let Some(place) = places.get(&scope) {
            place.bytes.store(bytes, Ordering::Relaxed);
        }
        let mut total: usize = places.values().map(|place| place.bytes.load(Ordering::Relaxed)).sum();
        while total > self.limit {
            let oldest = places
                .iter()
                .filter(|(other, place)| **other != scope && place.bytes.load(Ordering::Relaxed) > 0)
                .min_by_key(|(_, place)| place.used.load(Ordering::Relaxed))
                .map(|(other, _)| *other);
            // Whoever holds the index goes on with it; it is freed after the last reader.
            let Some(place) = oldest.and_then(|oldest| places.remove(&oldest)) else { break };
            total -= place.bytes.load(Ordering::Relaxed);
        }
    }
}
