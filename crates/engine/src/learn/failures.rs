//! Why pending jobs failed, in small documents beside the jobs: a summary of the queue must not read messages.

use std::sync::Arc;

use mnemon_store::{Collection, DocumentStore, Durability, PageRequest};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::JobFailure;

/// The kind of the documents. The id of one is that of its job.
pub(super) const KIND: &str = "extraction_failure";

/// Why the last attempt of a pending job failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// For callers.
    pub(super) reason: String,
    #[serde(flatten)]
    pub(super) error: JobFailure,
}

/// The failures of pending jobs. They are for people, so what can't be saved or removed is only logged.
pub(super) struct Failures {
    stored: Collection<Failure>,
}

impl Failures {
    pub(super) fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self { stored: Collection::new(documents, KIND) }
    }

    /// Saves why a job failed.
    pub(super) fn save(&self, job: &str, owner: Option<&str>, failure: Failure) {
        let document = self.stored.document(job, failure).owned_by(owner);
        if let Err(error) = self.stored.put(&[document], Durability::Written) {
            tracing::warn!(event_id = job, %error, "could not save why a job failed");
        }
    }

    /// Removes the failure of a job that is not pending any more, if it has one.
    pub(super) fn remove(&self, job: &str) {
        let removed = match self.stored.get(job) {
            Ok(None) => return,
            _ => self.stored.remove(job),
        };
        if let Err(error) = removed {
            tracing::warn!(event_id = job, %error, "could not remove why a job failed");
        }
    }

    /// One of the failures, if there are any.
    pub(super) fn any(&self) -> Result<Option<Failure>> {
        let page = self.stored.readable(None, &PageRequest { limit: 1, ..PageRequest::default() })?;
        Ok(page.items.into_iter().next().map(|document| document.body))
    }
}
