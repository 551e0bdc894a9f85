//! A queue of jobs in a document store.
//!
//! A queued job is a document with a due time. A worker claims a job by moving its due time to the end of a lease,
//! which only one worker of all processes can do. If the worker's process ends, the job is due again when the lease
//! expires. A job that could not be done is parked: it is kept, and never due until somebody resumes it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Collection, Document, DocumentStore};
use crate::{Durability, Result, StoreError};

/// Due jobs that are read together.
const BATCH: usize = 32;
/// How long a job that can't be read is left alone: a newer version, which wrote it, may run beside this one.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(3600);

/// When jobs are tried, and tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often an idle worker reads the queue.
    pub poll: Duration,
    /// The pauses between attempts; the last one is repeated.
    pub backoff: Vec<Duration>,
    /// How long a claimed job belongs to one worker unless the claim is renewed.
    pub lease: Duration,
    /// Most attempts; `None`: until one succeeds.
    pub max_attempts: Option<usize>,
}

impl RetryPolicy {
    /// The pause after this many failed attempts; `None` if no further attempt is allowed.
    pub fn pause(&self, failed: usize) -> Option<Duration> {
        if self.max_attempts.is_some_and(|max| failed >= max) {
            return None;
        }
        let last = self.backoff.len().saturating_sub(1);
        Some(self.backoff.get(failed.saturating_sub(1).min(last)).copied().unwrap_or_default())
    }
}

/// The queued jobs of one kind. A document of the kind without a due time is not queued.
#[derive(Clone)]
pub struct Queue<T> {
    documents: Arc<dyn DocumentStore>,
    jobs: Collection<T>,
    policy: RetryPolicy,
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    /// The queue of this kind in a document store.
    pub fn new(documents: Arc<dyn DocumentStore>, kind: &'static str, policy: RetryPolicy) -> Self {
        Self { jobs: Collection::new(documents.clone(), kind), documents, policy }
    }

    /// When jobs are tried, and tried again.
    pub fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// All documents of the kind, queued or not.
    pub fn collection(&self) -> &Collection<T> {
        &self.jobs
    }

    /// Adds jobs that are due now, in one commit. Synced.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn push(&self, jobs: Vec<Document<T>>) -> Result<()> {
        let now = Timestamp::now();
        let jobs: Vec<_> = jobs.into_iter().map(|job| job.due_at(now)).collect();
        self.jobs.put(&jobs, Durability::Synced)
    }

    /// Adds a job that the caller has claimed. Synced.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn push_claimed(&self, job: Document<T>) -> Result<()> {
        self.jobs.put(&[job.due_at(after(self.policy.lease))], Durability::Synced)
    }

    /// Claims the job that has been due longest, unless other workers claim all that are due. A job that can't be read
    /// is logged and stays queued.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn claim(&self) -> Result<Option<Document<T>>> {
        let now = Timestamp::now();
        // More than one is needed only if others claim at the same time, or if the first can't be read.
        for limit in [1, BATCH] {
            let ids = self.documents.due_ids(self.jobs.kind(), None, now, limit)?;
            for id in &ids {
                if let Some(job) = self.claim_one(id, now)? {
                    return Ok(Some(job));
                }
            }
            if ids.len() < limit {
                break;
            }
        }
        Ok(None)
    }

    fn claim_one(&self, id: &str, now: Timestamp) -> Result<Option<Document<T>>> {
        if !self.documents.reschedule(self.jobs.kind(), id, now, after(self.policy.lease))? {
            return Ok(None);
        }
        match self.jobs.get(id) {
            Ok(job) => Ok(job.filter(|job| job.due.is_some())),
            Err(error @ StoreError::UnreadableDocument { .. }) => {
                self.set_aside(&error)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Renews the claim of a job; returns whether it is still queued.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn renew(&self, id: &str) -> Result<bool> {
        self.set_due(id, after(self.policy.lease))
    }

    /// Makes a queued job due now; returns whether it is queued.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn make_due(&self, id: &str) -> Result<bool> {
        self.set_due(id, Timestamp::now())
    }

    /// Changes a queued job without changing its due time; returns the job if it is queued and `change` returns true.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn update(&self, id: &str, change: &mut dyn FnMut(&mut T) -> bool) -> Result<Option<Document<T>>> {
        self.jobs.change(id, &mut |job| job.due.is_some() && change(&mut job.body))
    }

    /// Schedules another attempt after a pause; returns whether the job is still queued.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn retry_later(&self, id: &str, pause: Duration, change: &mut dyn FnMut(&mut T)) -> Result<bool> {
        let changed = self.jobs.change(id, &mut |job| {
            let is_queued = is_queued(job.due);
            if is_queued {
                job.due = Some(after(pause));
                change(&mut job.body);
            }
            is_queued
        })?;
        Ok(changed.is_some())
    }

    /// Removes the document of a job, also one that was kept as a record; returns whether it existed. Of several
    /// callers only one succeeds.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn finish(&self, id: &str) -> Result<bool> {
        self.jobs.remove(id)
    }

    /// Takes a job from the queue and keeps its document as a record of the outcome, in one write. `None` if it is not
    /// queued: of several callers only one succeeds.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn finish_with(&self, id: &str, record: &mut dyn FnMut(&mut T)) -> Result<Option<Document<T>>> {
        self.jobs.change(id, &mut |job| {
            let is_queued = job.due.take().is_some();
            if is_queued {
                record(&mut job.body);
            }
            is_queued
        })
    }

    /// Logs the error of a job that can't be read and leaves the job alone for an hour; does nothing for other errors.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn set_aside(&self, error: &StoreError) -> Result<()> {
        let StoreError::UnreadableDocument { id, .. } = error else { return Ok(()) };
        if self.set_due(id, after(UNREADABLE_PAUSE))? {
            tracing::error!(%error, "a job is left in its queue");
        }
        Ok(())
    }

    /// Parks a queued job: it is kept, and is not due any more. Returns whether it was queued.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn park(&self, id: &str, change: &mut dyn FnMut(&mut T)) -> Result<bool> {
        let changed = self.jobs.change(id, &mut |job| {
            let is_queued = is_queued(job.due);
            if is_queued {
                job.due = Some(parked_due());
                change(&mut job.body);
            }
            is_queued
        })?;
        Ok(changed.is_some())
    }

    /// Makes a parked job due now; returns it if it is parked and `change` returns true.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn resume(&self, id: &str, change: &mut dyn FnMut(&mut T) -> bool) -> Result<Option<Document<T>>> {
        self.jobs.change(id, &mut |job| {
            let is_resumed = is_parked(job.due) && change(&mut job.body);
            if is_resumed {
                job.due = Some(Timestamp::now());
            }
            is_resumed
        })
    }

    /// Takes a parked job out of the queue and keeps its document as a record; returns whether it was parked.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn drop_parked(&self, id: &str, record: &mut dyn FnMut(&mut T)) -> Result<bool> {
        let changed = self.jobs.change(id, &mut |job| {
            let is_parked = is_parked(job.due);
            if is_parked {
                job.due = None;
                record(&mut job.body);
            }
            is_parked
        })?;
        Ok(changed.is_some())
    }

    /// The number of queued jobs that are not parked.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn count(&self) -> Result<usize> {
        self.documents.count_due(self.jobs.kind(), last_due())
    }

    /// The number of parked jobs.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn count_parked(&self) -> Result<usize> {
        let all = self.documents.count_due(self.jobs.kind(), Timestamp::MAX)?;
        Ok(all.saturating_sub(self.count()?))
    }

    /// The parked jobs, the longest queued first, each read when it is asked for. A job that can't be read is an error in its
    /// place.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn parked(&self) -> Result<impl Iterator<Item = Result<Document<T>>>> {
        let ids = self.documents.due_ids(self.jobs.kind(), Some(last_due()), Timestamp::MAX, usize::MAX)?;
        let is_still = |job: &Result<Document<T>>| job.as_ref().map_or(true, |job| is_parked(job.due));
        Ok(ids.into_iter().filter_map(|id| self.jobs.get(&id).transpose()).filter(is_still))
    }

    /// The first queued jobs, whether they are claimed or not, in the order of their due times; parked ones come last. A
    /// job that can't be read is an error in its place.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn queued(&self, limit: usize) -> Result<Vec<Result<Document<T>>>> {
        self.jobs.due(Timestamp::MAX, limit)
    }

    fn set_due(&self, id: &str, due: Timestamp) -> Result<bool> {
        self.documents.reschedule(self.jobs.kind(), id, last_due(), due)
    }
}

/// The due time of a parked job: near the end of time, within the range of every database.
fn parked_due() -> Timestamp {
    Timestamp::MAX.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX)
}

/// The latest due time of a job that is not parked.
fn last_due() -> Timestamp {
    Timestamp::MAX.checked_sub(SignedDuration::from_hours(2)).unwrap_or(Timestamp::MAX)
}

fn is_parked(due: Option<Timestamp>) -> bool {
    due.is_some_and(|due| due > last_due())
}

fn is_queued(due: Option<Timestamp>) -> bool {
    due.is_some_and(|due| due <= last_due())
}

/// The time after a pause from now.
fn after(pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(pause).unwrap_or(last_due()).min(last_due())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_no_attempt_is_left() {
        let policy = |max_attempts| RetryPolicy {
            poll: Duration::ZERO,
            backoff: [5, 30, 60].map(Duration::from_secs).to_vec(),
            lease: Duration::ZERO,
            max_attempts,
        };
        let seconds = |max_attempts| [1, 2, 3, 4, 9].map(|failed| Some(policy(max_attempts).pause(failed)?.as_secs()));
        assert_eq!(seconds(None), [Some(5), Some(30), Some(60), Some(60), Some(60)]);
        assert_eq!(seconds(Some(4)), [Some(5), Some(30), Some(60), None, None]);
        assert_eq!(seconds(Some(1)), [None; 5]);
        let once = RetryPolicy { backoff: Vec::new(), ..policy(None) };
        assert_eq!(once.pause(3), Some(Duration::ZERO));
    }
}
