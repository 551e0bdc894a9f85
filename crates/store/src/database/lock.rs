//! Who may write, among the threads of a process: whoever asks first for what nobody else has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashSet;

use super::Hold;
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
    what: Hold,
    granted: Condvar,
}

/// Held until dropped.
pub(super) struct Holding<'a> {
    holds: &'a Holds,
    what: Hold,
}

impl Holds {
    /// Waits until nobody else holds any of it, nor has asked for it before.
    pub(super) fn hold(&self, what: &Hold, deadline: Instant) -> Result<Holding<'_>> {
        let what = match what {
            Hold::Everything => Hold::Everything,
            Hold::Keys(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                keys.dedup();
                Hold::Keys(keys)
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
                Hold::Everything => place == 0 && self.holders == 0,
                Hold::Keys(keys) => !keys.iter().any(|key| self.keys.contains(key) || claimed.contains(key)),
            };
            match (&waiter.what, free) {
                (Hold::Everything, false) => return,
                (Hold::Keys(keys), false) => {
                    claimed.extend(keys);
                    place += 1;
                    continue;
                }
                (Hold::Everything, true) => self.everything = true,
                (Hold::Keys(keys), true) => self.keys.extend(keys),
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
            Hold::Everything => state.everything = false,
            Hold::Keys(keys) => keys.iter().for_each(|key| {
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

    fn keys(keys: &[i64]) -> Hold {
        Hold::Keys(keys.to_vec())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn keys_exclude_each_other_and_everything_excludes_all() {
        let holds = Holds::default();
        let busy = |what: &Hold| matches!(holds.hold(what, soon()).map(drop), Err(StoreError::Busy));
        let first = holds.hold(&keys(&[2, 1, 2]), soon()).unwrap();
        let other = holds.hold(&keys(&[3]), soon()).unwrap();
        let none = holds.hold(&keys(&[]), soon()).unwrap();
        assert!(busy(&keys(&[5, 2])) && busy(&keys(&[3])) && busy(&Hold::Everything));
        drop((first, other));
        assert!(busy(&Hold::Everything));
        drop(none);
        let everything = holds.hold(&Hold::Everything, soon()).unwrap();
        assert!(busy(&keys(&[9])) && busy(&keys(&[])) && busy(&Hold::Everything));
        drop(everything);
        drop(holds.hold(&keys(&[1, 2, 3]), soon()).unwrap());
        assert!(holds.state.lock().waiting.is_empty());
    }

    #[test]
    fn who_gives_up_blocks_nobody() {
        let holds = Holds::default();
        let held = holds.hold(&keys(&[1]), soon()).unwrap();
        std::thread::scope(|threads| {
            let gives_up = threads.spawn(|| holds.hold(&Hold::Everything, soon()).map(drop));
            while holds.state.lock().waiting.is_empty() {
                std::thread::yield_now();
            }
            // Behind one who waits for everything.
            drop(holds.hold(&keys(&[2]), Instant::now() + PATIENCE).unwrap());
            assert!(matches!(gives_up.join().unwrap(), Err(StoreError::Busy)));
        });
        drop(held);
    }
}
