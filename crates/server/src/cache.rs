//! A cache whose values are read again after a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Values by key, each for a limited time. Clones of a value should be cheap.
pub(crate) struct TimedCache<K, V> {
    max_age: Duration,
    capacity: usize,
    entries: Mutex<HashMap<K, Entry<V>>>,
}

struct Entry<V> {
    value: V,
    read_at: Instant,
}

impl<K: Eq + Hash, V: Clone> TimedCache<K, V> {
    /// A cache of at most `capacity` values; it is emptied when another one is added.
    pub(crate) fn new(max_age: Duration, capacity: usize) -> Self {
        Self { max_age, capacity, entries: Mutex::default() }
    }

    /// The cached value of a key if it is not too old, otherwise the one that `read` returns. That a key has no value is
    /// not cached.
    pub(crate) fn get_or_read<E>(&self, key: K, read: impl FnOnce() -> Result<Option<V>, E>) -> Result<Option<V>, E> {
        if let Some(entry) = self.lock().get(&key).filter(|entry| entry.read_at.elapsed() < self.max_age) {
            return Ok(Some(entry.value.clone()));
        }
        let read_at = Instant::now();
        let value = read()?;
        let mut entries = self.lock();
        match value.clone() {
            Some(value) => {
                if entries.len() >= self.capacity && !entries.contains_key(&key) {
                    entries.clear();
                }
                entries.insert(key, Entry { value, read_at });
            }
            None => drop(entries.remove(&key)),
        }
        Ok(value)
    }

    /// Removes all values.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// What the cache has for a key; `None` if it would be read.
    fn cached(cache: &TimedCache<u32, u32>, key: u32) -> Option<u32> {
        cache.get_or_read(key, || Err(())).unwrap_or_default()
    }

    fn fill(cache: &TimedCache<u32, u32>, keys: impl IntoIterator<Item = u32>) {
        for key in keys {
            assert_eq!(cache.get_or_read(key, || Ok::<_, ()>(Some(10 * key))), Ok(Some(10 * key)));
        }
    }

    #[test]
    fn values_are_read_once_until_the_cache_is_cleared_or_full() {
        let cache = TimedCache::new(LONG, 2);
        fill(&cache, [1, 2]);
        assert_eq!((cached(&cache, 1), cached(&cache, 2)), (Some(10), Some(20)));
        fill(&cache, [3]);
        assert_eq!([1, 2, 3].map(|key| cached(&cache, key)), [None, None, Some(30)]);
        cache.clear();
        assert_eq!(cached(&cache, 3), None);
    }

    #[test]
    fn values_that_are_too_old_are_read_again() {
        let cache = TimedCache::new(Duration::ZERO, 2);
        fill(&cache, [1]);
        assert_eq!(cached(&cache, 1), None);
    }

    #[test]
    fn faults_and_missing_values_are_not_cached() {
        let cache = TimedCache::new(LONG, 2);
        assert_eq!(cache.get_or_read(1, || Err(7)), Err(7));
        assert_eq!(cache.get_or_read(1, || Ok::<_, ()>(None)), Ok(None));
        fill(&cache, [1]);
    }
}
