//! Who may write, among the threads of a process: whoever asks first for what nobody else has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashSet;

use super::Lock;
use crate::{Result, StoreError};

/// How long to wait for others.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What threads hold, and what they wait for.
#[derive(Default)]
pub(super) struct Holds {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: FxHashSet<i64>,
    holders: usize,
    everything: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

/// A thread that waits; who lets go counts it among the holders and takes it off the list.
struct Waiter {
    what: Lock,
    granted: Condvar,
}

/// Held until dropped.
pub(super) struct Holding<'a> {
    holds: &'a Holds,
    what: Lock,
}

impl Holds {
    /// Waits until nobody else holds any of it, nor has asked for it before.
    pub(super) fn lock(&self, what: &Lock, deadline: Instant) -> Result<Holding<'_>> {
        let what = match what {
            Lock::Everything => Lock::Everything,
            Lock::Keys(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                keys.dedup();
                Lock::Keys(keys)
            }
        };
        let waiter = Arc::new(Waiter { what: what.clone(), granted: Condvar::new() });
        let mut state = self.state.lock();
        state.waiting.push_back(Arc::clone(&waiter));
        state.grant();
        while state.place_of(&waiter).is_some() {
            let late = waiter.granted.wait_until(&mut state, deadline).timed_out();
            if late && let Some(place) = state.place_of(&waiter) {
                state.waiting.remove(place);
                state.grant();
                return Err(StoreError::Busy);
            }
        }
        Ok(Holding { holds: self, what })
    }
}

impl State {
    fn place_of(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        self.waiting.iter().position(|other| Arc::ptr_eq(other, waiter))
    }

    /// Gives those who wait what they can have, the first of them first.
    fn grant(&mut self) {
        let mut claimed: FxHashSet<i64> = FxHashSet::default();
        let mut place = 0;
        while !self.everything && place < self.waiting.len() {
            let waiter = Arc::clone(&self.waiting[place]);
            let free = match &waiter.what {
                Lock::Everything => place == 0 && self.holders == 0,
                Lock::Keys(keys) => !keys.iter().any(|key| self.keys.contains(key) || claimed.contains(key)),
            };
            match (&waiter.what, free) {
                (Lock::Everything, false) => return,
                (Lock::Keys(keys), false) => {
                    claimed.extend(keys);
                    place += 1;
                    continue;
                }
                (Lock::Everything, true) => self.everything = true,
                (Lock::Keys(keys), true) => self.keys.extend(keys),
            }
            self.holders += 1;
            self.waiting.remove(place);
            waiter.granted.notify_one();
        }
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let mut state = self.holds.state.lock();
        match &self.what {
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
        let holds = Holds::default();
        let busy = |what: &Lock| matches!(holds.lock(what, soon()).map(drop), Err(StoreError::Busy));
        let first = holds.lock(&keys(&[2, 1, 2]), soon()).unwrap();
        let other = holds.lock(&keys(&[3]), soon()).unwrap();
        let none = holds.lock(&keys(&[]), soon()).unwrap();
        assert!(busy(&keys(&[5, 2])) && busy(&keys(&[3])) && busy(&Lock::Everything));
        drop((first, other));
        assert!(busy(&Lock::Everything));
        drop(none);
        let everything = holds.lock(&Lock::Everything, soon()).unwrap();
        assert!(busy(&keys(&[9])) && busy(&keys(&[])) && busy(&Lock::Everything));
        drop(everything);
        drop(holds.lock(&keys(&[1, 2, 3]), soon()).unwrap());
        assert!(holds.state.lock().waiting.is_empty());
    }

    #[test]
    fn who_gives_up_blocks_nobody() {
        let holds = Holds::default();
        let held = holds.lock(&keys(&[1]), soon()).unwrap();
        std::thread::scope(|threads| {
            let gives_up = threads.spawn(|| holds.lock(&Lock::Everything, soon()).map(drop));
            while holds.state.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            // Behind one who waits for everything.
            drop(holds.lock(&keys(&[2]), Instant::now() + PATIENCE).unwrap());
            assert!(matches!(gives_up.join().unwrap(), Err(StoreError::Busy)));
        });
        drop(held);
    }
}
