//! Group commit: concurrent writes are sent to the ledger and to Qdrant as one group. While one group is in progress, other
//! writers wait. The first of them then leads the next group, which includes all waiting writes up to a limit.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::planned_write::PlannedWrite;
use crate::{Result, StoreError};

/// Limits of a group: writes, and points of all its writes. A single write may have more points.
const MAX_WRITES: usize = 64;
const MAX_POINTS: usize = 500;

/// The writers that wait for a group.
#[derive(Default)]
pub(super) struct GroupCommit {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Waiter>>,
    /// Whether a group is in progress.
    busy: bool,
}

struct Waiter {
    write: PlannedWrite,
    state: Mutex<WaiterState>,
    changed: Condvar,
}

enum WaiterState {
    Waiting,
    /// This writer leads the next group.
    Leader,
    Done(Result<bool>),
}

impl Waiter {
    fn set(&self, state: WaiterState) {
        *self.state.lock() = state;
        self.changed.notify_one();
    }
}

impl GroupCommit {
    /// Carries out a write, together with other waiting writes, and returns its result. If this writer leads the group,
    /// `work` is called and must set the result of each write in the group.
    pub(super) fn carry_out(
        &self,
        write: PlannedWrite,
        work: impl FnOnce(&[&PlannedWrite], &mut Results<'_>),
    ) -> Result<bool> {
        let own = Arc::new(Waiter { write, state: Mutex::new(WaiterState::Waiting), changed: Condvar::new() });
        let mut queue = self.queue.lock();
        queue.waiting.push(Arc::clone(&own));
        if std::mem::replace(&mut queue.busy, true) {
            drop(queue);
            let mut state = own.state.lock();
            own.changed.wait_while(&mut state, |state| matches!(state, WaiterState::Waiting));
            if let WaiterState::Done(result) = std::mem::replace(&mut *state, WaiterState::Waiting) {
                return result;
            }
        } else {
            drop(queue);
        }
        let group = Group { group_commit: self, waiters: self.take_group() };
        let writes: Vec<&PlannedWrite> = group.waiters.iter().map(|waiter| &waiter.write).collect();
        work(&writes, &mut Results(&group.waiters));
        drop(group);
        match std::mem::replace(&mut *own.state.lock(), WaiterState::Waiting) {
            WaiterState::Done(result) => result,
            WaiterState::Waiting | WaiterState::Leader => Err(unfinished()),
        }
    }

    /// Takes the next group from the queue: the first waiting write, and those after it within the limits.
    fn take_group(&self) -> Vec<Arc<Waiter>> {
        let mut queue = self.queue.lock();
        let (mut writes, mut points) = (0, 0);
        for waiter in queue.waiting.iter().take(MAX_WRITES) {
            points += waiter.write.plan.points.len() + waiter.write.plan.removed.len();
            if writes > 0 && points > MAX_POINTS {
                break;
            }
            writes += 1;
        }
        queue.waiting.drain(..writes).collect()
    }
}

/// Takes the results of the writes of a group, by their index in the group.
pub(super) struct Results<'g>(&'g [Arc<Waiter>]);

impl Results<'_> {
    pub(super) fn set(&mut self, index: usize, result: Result<bool>) {
        if let Some(waiter) = self.0.get(index) {
            waiter.set(WaiterState::Done(result));
        }
    }

    /// Sets the same error for several writes.
    pub(super) fn set_errors(&mut self, indices: impl IntoIterator<Item = usize>, error: StoreError) {
        let mut indices = indices.into_iter().peekable();
        while let Some(index) = indices.next() {
            if indices.peek().is_none() {
                return self.set(index, Err(error));
            }
            self.set(index, Err(copy_of(&error)));
        }
    }

    /// The results of one write of the group.
    pub(super) fn of(&mut self, index: usize) -> Results<'_> {
        Results(self.0.get(index..=index).unwrap_or_default())
    }
}

/// A copy of an error. An error with a source can't be copied; it becomes a database error with the same text.
fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { server, reason } => {
            StoreError::Unavailable { server: server.clone(), reason: reason.clone() }
        }
        StoreError::OutcomeUnknown { server, reason } => {
            StoreError::OutcomeUnknown { server: server.clone(), reason: reason.clone() }
        }
        StoreError::Full => StoreError::Full,
        StoreError::ReadOnly { reason } => StoreError::ReadOnly { reason: reason.clone() },
        StoreError::Busy => StoreError::Busy,
        other => StoreError::Database(other.to_string().into()),
    }
}

/// A group in progress. Dropping it, even by a panic, gives every write a result and starts the next group.
struct Group<'t> {
    group_commit: &'t GroupCommit,
    waiters: Vec<Arc<Waiter>>,
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        for waiter in &self.waiters {
            let mut state = waiter.state.lock();
            if !matches!(*state, WaiterState::Done(_)) {
                *state = WaiterState::Done(Err(unfinished()));
                waiter.changed.notify_one();
            }
        }
        let mut queue = self.group_commit.queue.lock();
        match queue.waiting.first() {
            Some(next) => next.set(WaiterState::Leader),
            None => queue.busy = false,
        }
    }
}

fn unfinished() -> StoreError {
    StoreError::Database("the write was not finished; check what was stored before you repeat it".into())
}
