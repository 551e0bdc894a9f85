//! Jobs that an older version stored in documents of their own, beside their events.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use mnemon_store::{Collection, Document, DocumentStore, Queue, RetryPolicy, StoreError};

use super::job::event_of_add;
use crate::error::Result;
use crate::event::{Event, EventStatus, JobState};

/// The kind of the documents.
pub(crate) const KIND: &str = "extraction";
/// How long a new event is kept from other workers while its job is removed.
const CREATION_LEASE: SignedDuration = SignedDuration::from_secs(60);

/// The jobs of an older version. A job moves into its event before it is claimed.
pub(super) struct OldJobs {
    documents: Arc<dyn DocumentStore>,
    queue: Queue<JobState>,
}

impl OldJobs {
    pub(super) fn new(documents: Arc<dyn DocumentStore>, policy: RetryPolicy) -> Self {
        Self { queue: Queue::new(documents.clone(), KIND, policy), documents }
    }

    /// Moves jobs that are due at `now` into their events, the longest due first. A job that is not due may be in the
    /// hands of a server of that version. If the process ends in between, the next call completes it.
    pub(super) fn adopt(&self, events: &Collection<Event>, now: Timestamp, limit: usize) -> Result<()> {
        for job in self.queue.collection().due(now, limit)? {
            match job.and_then(|job| self.adopt_one(events, job)) {
                Ok(()) => {}
                Err(error @ StoreError::UnreadableDocument { .. }) => self.queue.set_aside(&error)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn adopt_one(&self, events: &Collection<Event>, job: Document<JobState>) -> Result<(), StoreError> {
        let Document { id, owner, due, body: state, .. } = job;
        events.change(&id, &mut |event| {
            // A finished or cancelled request, and one that was already moved, must not be done again.
            let is_to_move = event.body.status == EventStatus::Pending && event.body.job.is_none();
            if is_to_move {
                event.body.job = Some(state.clone());
                event.due = due;
            }
            is_to_move
        })?;
        if events.get(&id)?.is_none() {
            let reason = self.reason_of(&id)?;
            let event = event_of_add(id.clone(), state, reason.as_deref().unwrap_or("it is queued"));
            let mut document = events.document(id.as_str(), event).owned_by(owner.as_deref());
            // Not before the job is removed: another process may have removed it, and its event, because it was
            // cancelled.
            document.due = Some(Timestamp::now().checked_add(CREATION_LEASE).unwrap_or(Timestamp::MAX));
            let created = events.put_new(&document)?;
            if self.queue.finish(&id)? {
                let due = due.unwrap_or_else(Timestamp::now);
                self.documents.reschedule(events.kind(), &id, Timestamp::MAX, due)?;
            } else if created {
                events.remove(&id)?;
            }
            return Ok(());
        }
        self.queue.finish(&id).map(drop)
    }

    /// The number of jobs that are not moved yet.
    pub(super) fn count(&self) -> Result<usize> {
        Ok(self.queue.count()?)
    }

    fn reason_of(&self, id: &str) -> Result<Option<String>, StoreError> {
        // An older version stored it in the job.
        Ok(self.documents.document(KIND, id)?.and_then(|job| job.body["error"].as_str().map(str::to_owned)))
    }
}
