//! One sync to the disk for all threads that wait for one.

use parking_lot::{Condvar, Mutex};

use crate::{Result, StoreError};

/// Shares syncs between threads.
#[derive(Default)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of syncs that were started and finished. A sync includes everything written before it started.
    started: u64,
    finished: u64,
    /// The last sync that failed. Writes before it may never reach the disk.
    failed: Option<u64>,
}

impl SharedSync {
    /// Waits until everything written before the call is on the disk. `sync` is called by one of the waiting threads.
    pub(super) fn run(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.state.lock();
        // A sync that is already running may have started before the write.
        let wanted = state.started + 1;
        while state.finished < wanted && state.finished < state.started {
            self.changed.wait(&mut state);
        }
        if state.finished < wanted {
            state.started += 1;
            drop(state);
            let result = sync();
            state = self.state.lock();
            state.finished = state.started;
            self.changed.notify_all();
            if let Err(error) = result {
                state.failed = Some(state.finished);
                return Err(error);
            }
        }
        if state.failed.is_some_and(|failed| failed >= wanted) {
            return Err(StoreError::Database("the sync of another thread failed".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_share_few_syncs() {
        let syncs = SharedSync::default();
        assert!(matches!(syncs.run(|| Err(StoreError::Full)), Err(StoreError::Full)));
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..20).for_each(|_| syncs.run(|| Ok(())).unwrap()));
            }
        });
        let state = syncs.state.lock();
        assert!(state.started == state.finished && state.started <= 161, "{}", state.started);
    }
}
