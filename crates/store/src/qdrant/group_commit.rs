//! Writes that come at once go to the ledger and to Qdrant as one: whoever comes while another is at it waits, and the first
//! to have waited takes all who wait along.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::outbox::Write;
use crate::{Result, StoreError};

/// Writes taken along at once, and their points.
const WRITES: usize = 64;
const POINTS: usize = 500;

/// Those who want to write.
#[derive(Default)]
pub(super) struct Together {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Waiter>>,
    busy: bool,
}

struct Waiter {
    write: Write,
    told: Mutex<Told>,
    changed: Condvar,
}

enum Told {
    Nothing,
    /// It is this one's turn.
    Lead,
    Done(Result<bool>),
}

impl Waiter {
    fn tell(&self, told: Told) {
        *self.told.lock() = told;
        self.changed.notify_one();
    }
}

impl Together {
    /// Has a write carried out, with others that wait, by whoever's turn it is: `work` gives each write its result.
    pub(super) fn carry_out(&self, write: Write, work: impl FnOnce(&[&Write], &mut Results<'_>)) -> Result<bool> {
        let own = Arc::new(Waiter { write, told: Mutex::new(Told::Nothing), changed: Condvar::new() });
        let mut queue = self.queue.lock();
        queue.waiting.push(Arc::clone(&own));
        if std::mem::replace(&mut queue.busy, true) {
            drop(queue);
            let mut told = own.told.lock();
            own.changed.wait_while(&mut told, |told| matches!(told, Told::Nothing));
            if let Told::Done(result) = std::mem::replace(&mut *told, Told::Nothing) {
                return result;
            }
        } else {
            drop(queue);
        }
        let turn = Turn { together: self, group: self.take() };
        let writes: Vec<&Write> = turn.group.iter().map(|waiter| &waiter.write).collect();
        work(&writes, &mut Results(&turn.group));
        drop(turn);
        match std::mem::replace(&mut *own.told.lock(), Told::Nothing) {
            Told::Done(result) => result,
            Told::Nothing | Told::Lead => Err(unfinished()),
        }
    }

    /// Those whose turn it is: the first who waits, and who fits beside.
    fn take(&self) -> Vec<Arc<Waiter>> {
        let mut queue = self.queue.lock();
        let (mut many, mut points) = (0, 0);
        for waiter in queue.waiting.iter().take(WRITES) {
            points += waiter.write.plan.puts.len() + waiter.write.plan.removed.len();
            if many > 0 && points > POINTS {
                break;
            }
            many += 1;
        }
        queue.waiting.drain(..many).collect()
    }
}

/// Where the results of a group go, by place in it.
pub(super) struct Results<'g>(&'g [Arc<Waiter>]);

impl Results<'_> {
    pub(super) fn give(&mut self, at: usize, result: Result<bool>) {
        if let Some(waiter) = self.0.get(at) {
            waiter.tell(Told::Done(result));
        }
    }

    /// The same failure for several.
    pub(super) fn give_all(&mut self, several: impl IntoIterator<Item = usize>, error: StoreError) {
        let mut several = several.into_iter().peekable();
        while let Some(at) = several.next() {
            if several.peek().is_none() {
                return self.give(at, Err(error));
            }
            self.give(at, Err(alike(&error)));
        }
    }

    /// Those of one of the group.
    pub(super) fn of(&mut self, at: usize) -> Results<'_> {
        Results(self.0.get(at..=at).unwrap_or_default())
    }
}

/// The error again, which can't be copied where it holds another's.
fn alike(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { server, reason } => {
            StoreError::Unavailable { server: server.clone(), reason: reason.clone() }
        }
        StoreError::OutcomeUnknown { server, reason } => {
            StoreError::OutcomeUnknown { server: server.clone(), reason: reason.clone() }
        }
        StoreError::Full => StoreError::Full,
        StoreError::Busy => StoreError::Busy,
        other => StoreError::Database(other.to_string().into()),
    }
}

/// A turn; at its end, however it comes, nobody is left waiting.
struct Turn<'t> {
    together: &'t Together,
    group: Vec<Arc<Waiter>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for waiter in &self.group {
            let mut told = waiter.told.lock();
            if !matches!(*told, Told::Done(_)) {
                *told = Told::Done(Err(unfinished()));
            }
        }
        let mut queue = self.together.queue.lock();
        match queue.waiting.first() {
            Some(next) => next.tell(Told::Lead),
            None => queue.busy = false,
        }
    }
}

fn unfinished() -> StoreError {
    StoreError::Database("the write was not finished; read what is there before it is tried again".into())
}
