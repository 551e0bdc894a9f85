//! Locks between the threads of one process. Requests are granted in their order, unless a later one has no conflict with
//! the earlier ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashSet;

use super::Lock;
use crate::{Result, StoreError};

/// Longest wait for a lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The locks that the threads of this process hold and wait for.
#[derive(Default)]
pub(super) struct LockTable {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: FxHashSet<i64>,
    holders: usize,
    everything: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

/// A waiting thread. The thread that releases a lock counts it as a holder and removes it from the list.
struct Waiter {
    lock: Lock,
    granted: Condvar,
}

/// Holds a lock until it is dropped.
pub(super) struct TableGuard<'a> {
    table: &'a LockTable,
    lock: Lock,
}

impl LockTable {
    /// Waits until no other thread holds a conflicting lock or has requested one earlier.
    pub(super) fn lock(&self, lock: &Lock, deadline: Instant) -> Result<TableGuard<'_>> {
        let lock = match lock {
            Lock::Everything => Lock::Everything,
            Lock::Keys(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                keys.dedup();
                Lock::Keys(keys)
            }
        };
        let waiter = Arc::new(Waiter { lock: lock.clone(), granted: Condvar::new() });
        let mut state = self.state.lock();
        state.waiting.push_back(Arc::clone(&waiter));
        state.grant();
        while state.position(&waiter).is_some() {
            let timed_out = waiter.granted.wait_until(&mut state, deadline).timed_out();
            if timed_out && let Some(position) = state.position(&waiter) {
                state.waiting.remove(position);
                state.grant();
                return Err(StoreError::Busy);
            }
        }
        Ok(TableGuard { table: self, lock })
    }
}

impl State {
    fn position(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        self.waiting.iter().position(|other| Arc::ptr_eq(other, waiter))
    }

    /// Grants all requests that are possible now, in their order.
    fn grant(&mut self) {
        let mut requested: FxHashSet<i64> = FxHashSet::default();
        let mut position = 0;
        while !self.everything && position < self.waiting.len() {
            let waiter = Arc::clone(&self.waiting[position]);
            match &waiter.lock {
                Lock::Everything if position == 0 && self.holders == 0 => self.everything = true,
                // Later requests wait behind a request for everything.
                Lock::Everything => return,
                Lock::Keys(keys) if keys.iter().any(|key| self.keys.contains(key) || requested.contains(key)) => {
                    requested.extend(keys);
                    position += 1;
                    continue;
                }
                Lock::Keys(keys) => self.keys.extend(keys),
            }
            self.holders += 1;
            self.waiting.remove(position);
            waiter.granted.notify_one();
        }
    }
}

impl Drop for TableGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.table.state.lock();
        match &self.lock {
            Lock::Everything => state.everything = false,
            Lock::Keys(keys) => keys.iter().for_each(|key| {
                state.keys.remove(key);
            }),
        }
        state.holders -= 1;
        state.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[i64]) -> Lock {
        Lock::Keys(keys.to_vec())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn keys_exclude_each_other_and_everything_excludes_all() {
        let table = LockTable::default();
        let busy = |lock: &Lock| matches!(table.lock(lock, soon()).map(drop), Err(StoreError::Busy));
        let first = table.lock(&keys(&[2, 1, 2]), soon()).unwrap();
        let other = table.lock(&keys(&[3]), soon()).unwrap();
        let none = table.lock(&keys(&[]), soon()).unwrap();
        assert!(busy(&keys(&[5, 2])) && busy(&keys(&[3])) && busy(&Lock::Everything));
        drop((first, other));
        assert!(busy(&Lock::Everything));
        drop(none);
        let everything = table.lock(&Lock::Everything, soon()).unwrap();
        assert!(busy(&keys(&[9])) && busy(&keys(&[])) && busy(&Lock::Everything));
        drop(everything);
        drop(table.lock(&keys(&[1, 2, 3]), soon()).unwrap());
        assert!(table.state.lock().waiting.is_empty());
    }

    #[test]
    fn a_timed_out_request_blocks_no_other() {
        let table = LockTable::default();
        let guard = table.lock(&keys(&[1]), soon()).unwrap();
        std::thread::scope(|threads| {
            let times_out = threads.spawn(|| table.lock(&Lock::Everything, soon()).map(drop));
            while table.state.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            // Requested after the lock on everything.
            drop(table.lock(&keys(&[2]), Instant::now() + LOCK_TIMEOUT).unwrap());
            assert!(matches!(times_out.join().unwrap(), Err(StoreError::Busy)));
        });
        drop(guard);
    }
}
