//! The pending jobs, stored as documents. A claimed job is leased: its due time is the end of the lease.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, Scope};

use super::job::{Job, PlannedFact};
use super::outcome::PendingJobs;
use super::retry::{pause, public_reason};
use crate::add::carries_ids_of;
use crate::config::ModelServices;
use crate::error::{EngineError, Result};

/// The kind of the documents.
const KIND: &str = "extraction";
/// How long a job in an unknown format is left alone.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(3600);
/// Jobs that are read together.
const BATCH: usize = 32;

/// The pending jobs. Without a document store there are none, and nothing is stored.
#[derive(Clone, Copy)]
pub(super) struct Jobs<'e> {
    documents: Option<&'e dyn DocumentStore>,
    lease: Duration,
}

impl<'e> Jobs<'e> {
    pub(super) fn new(model_services: &'e ModelServices) -> Self {
        Self { documents: model_services.documents.as_deref(), lease: model_services.lease }
    }

    /// Whether jobs can be stored.
    pub(super) fn are_stored(self) -> bool {
        self.documents.is_some()
    }

    /// Stores a job; it is leased to the caller.
    pub(super) fn store(self, job: &mut Job) -> Result<()> {
        let Some(documents) = self.documents else { return Ok(()) };
        let owner = job.request.add.scope.user_id.as_deref();
        let document = Document::new(KIND, job.id.as_str(), job.to_json()).owned_by(owner).due_at(self.lease_end());
        documents.put(&[document], Durability::Synced)?;
        job.stored = true;
        Ok(())
    }

    /// Claims the job that has been due longest, unless other workers claim all that are due.
    pub(super) fn claim_next(self) -> Result<Option<Job>> {
        let Some(documents) = self.documents else { return Ok(None) };
        let now = Timestamp::now();
        for document in documents.due(KIND, now, BATCH)?.into_iter().flatten() {
            if let Some(job) = self.claim(documents, &document.id, now)? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    fn claim(self, documents: &dyn DocumentStore, id: &str, now: Timestamp) -> Result<Option<Job>> {
        let mut unreadable = false;
        let claimed = documents.change(KIND, id, &mut |document| {
            if document.due.is_none_or(|due| due > now) {
                return false;
            }
            unreadable = Job::from_json(&document.id, &document.body).is_none();
            // A job that a newer version wrote is left for that version.
            document.due = Some(if unreadable { from_now(UNREADABLE_PAUSE) } else { self.lease_end() });
            true
        })?;
        if unreadable {
            tracing::error!(event_id = id, "a pending job has an unknown format: use a newer version of mnemon");
        }
        Ok(claimed.and_then(|document| Job::from_json(&document.id, &document.body)))
    }

    /// Renews the lease of a job. A failure is only logged: the work can go on.
    pub(super) fn renew(self, id: &str) {
        let Some(documents) = self.documents else { return };
        let renewed = documents.change(KIND, id, &mut |document| {
            document.due = Some(self.lease_end());
            true
        });
        if let Err(error) = renewed {
            tracing::warn!(event_id = id, %error, "could not renew the lease of a job");
        }
    }

    /// Records the extracted facts in the job. If two workers extracted the same job, the first recorded facts count, so
    /// that each fact has one id. Returns the facts that count, or `None` if the job was removed.
    pub(super) fn record_facts(self, job: &Job, facts: Vec<PlannedFact>) -> Result<Option<Vec<PlannedFact>>> {
        let Some(documents) = self.documents.filter(|_| job.stored) else { return Ok(Some(facts)) };
        let mut recorded = None;
        documents.change(KIND, &job.id, &mut |document| {
            let Some(mut found) = Job::from_json(&document.id, &document.body) else { return false };
            if let Some(facts) = found.planned {
                recorded = Some(facts);
                return false;
            }
            found.planned = Some(facts.clone());
            recorded.clone_from(&found.planned);
            document.body = found.to_json();
            document.due = Some(self.lease_end());
            true
        })?;
        Ok(recorded)
    }

    /// Whether the job has not been removed since it was stored.
    pub(super) fn is_pending(self, job: &Job) -> Result<bool> {
        let documents = self.documents.filter(|_| job.stored);
        documents.map_or(Ok(true), |documents| Ok(documents.document(KIND, &job.id)?.is_some()))
    }

    /// Schedules another attempt of a failed job.
    pub(super) fn retry_later(self, id: &str, error: &EngineError) -> Result<()> {
        let Some(documents) = self.documents else { return Ok(()) };
        documents.change(KIND, id, &mut |document| {
            let Some(mut job) = Job::from_json(&document.id, &document.body) else { return false };
            let pause = pause(job.attempts, error);
            job.attempts += 1;
            job.error = Some(public_reason(error).to_owned());
            document.body = job.to_json();
            document.due = Some(from_now(pause));
            true
        })?;
        tracing::warn!(event_id = id, %error, hint = error.log_hint(), "a job failed and will be tried again");
        metrics::counter!("mnemon_extractions_postponed_total").increment(1);
        Ok(())
    }

    /// Makes a job due now.
    pub(super) fn make_due(self, id: &str) -> Result<()> {
        let Some(documents) = self.documents else { return Ok(()) };
        documents.change(KIND, id, &mut |document| {
            document.due = Some(Timestamp::now());
            true
        })?;
        Ok(())
    }

    /// Removes a job. Returns whether it existed, so that only one of several callers reports its end.
    pub(super) fn remove(self, id: &str) -> Result<bool> {
        match self.documents {
            Some(documents) => Ok(documents.remove(KIND, id)?),
            None => Ok(true),
        }
    }

    /// Ids and owners of the jobs whose owner has all ids of the scope, or of all jobs.
    pub(super) fn of_owner(self, scope: Option<&Scope>) -> Result<Vec<(String, Scope)>> {
        let Some(documents) = self.documents else { return Ok(Vec::new()) };
        let page = PageRequest { limit: usize::MAX >> 1, ..PageRequest::default() };
        let jobs = documents.documents(KIND, None, &page)?.items.into_iter().filter_map(|document| {
            let owner = Job::from_json(&document.id, &document.body)?.request.add.scope;
            scope.is_none_or(|scope| carries_ids_of(&owner, scope)).then_some((document.id, owner))
        });
        Ok(jobs.collect())
    }

    /// The number of jobs, and why one of them failed.
    pub(super) fn summary(self) -> Result<PendingJobs> {
        let Some(documents) = self.documents else { return Ok(PendingJobs::default()) };
        let page = documents.documents(KIND, None, &PageRequest { limit: BATCH, ..PageRequest::default() })?;
        let reason = page.items.iter().find_map(|document| Job::from_json(&document.id, &document.body)?.error);
        Ok(PendingJobs { requests: page.total, reason })
    }

    fn lease_end(self) -> Timestamp {
        from_now(self.lease)
    }
}

fn from_now(pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_mins(5));
    Timestamp::now().checked_add(pause).unwrap_or(Timestamp::MAX)
}
