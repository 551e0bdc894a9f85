//! Requests that wait for a model, in the ledger.

use jiff::{SignedDuration, Timestamp};
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, Scope};

use super::job::{Job, Planned};
use super::{LearnOutcome, LearnRequest, pause};
use crate::extract::Extractor;
use crate::{Engine, EngineError, Result};

/// The kind of the documents.
const KIND: &str = "extraction";
/// Before one in an unknown form is looked at again.
const UNKNOWN: std::time::Duration = std::time::Duration::from_secs(3600);
/// Requests looked at when one is to be taken up.
const LOOKED_AT: usize = 32;

/// Requests that wait for a model, or are being worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingJobs {
    /// How many.
    pub requests: usize,
    /// Why one of them was tried in vain, in words for everybody; `None` if none was.
    pub reason: Option<String>,
}

/// A request that waited and was tried again.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// Its name.
    pub event_id: String,
    /// Whose memory it is.
    pub scope: Scope,
    /// Who extracted, or will.
    pub extractor: Extractor,
    /// When it came.
    pub received: Timestamp,
    /// What became of it.
    pub outcome: LearnOutcome,
}

impl Engine {
    /// Takes up the request that is due the longest and tries it again; `None` if none is due. Of several callers, in
    /// this process or another, each takes up another one.
    ///
    /// # Errors
    /// If the store fails: the request waits until somebody takes it up again.
    pub fn run_due_job(&self) -> Result<Option<JobResult>> {
        let Some(mut job) = self.take_up()? else { return Ok(None) };
        let outcome = match self.work(&mut job) {
            Ok(Some(added)) => match self.done(&job.id)? {
                true => LearnOutcome::Stored(added),
                // Somebody else was as fast, and tells of it.
                false => LearnOutcome::Dropped,
            },
            Ok(None) => LearnOutcome::Dropped,
            Err(EngineError::Store(error)) => return Err(error.into()),
            // A request that was taken and can't be served is no less to be kept.
            Err(error) => {
                self.postpone(&job.id, &error)?;
                LearnOutcome::Pending { reason: error.to_string(), told: super::told(&error) }
            }
        };
        let Job { id, request, extractor, received, .. } = job;
        Ok(Some(JobResult { event_id: id, scope: request.add.scope, extractor, received, outcome }))
    }

    /// Takes a request to be learnt from soon, by whoever calls [`Engine::run_due_job`] next. It is kept, durably, when this
    /// returns its name.
    ///
    /// # Errors
    /// As [`Engine::learn`], before any model is asked.
    pub fn learn_later(&self, request: LearnRequest) -> Result<String> {
        let (extractor, request) = self.checked(request)?;
        let mut job = Job::new(request, extractor, Timestamp::now());
        if self.model_services.documents.is_none() {
            let _ = self.work(&mut job)?;
            return Ok(job.id);
        }
        self.keep(&mut job)?;
        self.run_soon(&job.id)?;
        Ok(job.id)
    }

    /// What waits for a model, or is being worked on.
    ///
    /// # Errors
    /// Only if the ledger fails.
    pub fn pending_jobs(&self) -> Result<PendingJobs> {
        let Some(ledger) = &self.model_services.documents else { return Ok(PendingJobs::default()) };
        let page = ledger.documents(KIND, None, &PageRequest { limit: LOOKED_AT, ..PageRequest::default() })?;
        let reason = page.items.iter().find_map(|document| Job::from_json(&document.id, &document.body)?.error);
        Ok(PendingJobs { requests: page.total, reason })
    }

    /// Whether a request still waits, and why it was in vain so far.
    ///
    /// # Errors
    /// Only if the ledger fails.
    pub fn waits(&self, event_id: &str) -> Result<Option<Option<String>>> {
        let Some(ledger) = &self.model_services.documents else { return Ok(None) };
        let found = ledger.document(KIND, event_id)?;
        Ok(found.map(|document| Job::from_json(event_id, &document.body).and_then(|job| job.error)))
    }

    /// Tries a request that waits at once, rather than when its time comes.
    ///
    /// # Errors
    /// Only if the ledger fails.
    pub fn run_soon(&self, event_id: &str) -> Result<()> {
        if let Some(ledger) = &self.model_services.documents {
            ledger.change(KIND, event_id, &mut |document| {
                document.due = Some(Timestamp::now());
                true
            })?;
        }
        Ok(())
    }

    /// Removes what waits of owners that carry all ids of the scope, or all there is, and returns the names and owners.
    ///
    /// # Errors
    /// Only if the ledger fails.
    pub fn cancel_pending(&self, scope: Option<&Scope>) -> Result<Vec<(String, Scope)>> {
        let Some(ledger) = &self.model_services.documents else { return Ok(Vec::new()) };
        let mut dropped = Vec::new();
        let page = PageRequest { limit: usize::MAX >> 1, ..PageRequest::default() };
        for document in ledger.documents(KIND, None, &page)?.items {
            let Some(job) = Job::from_json(&document.id, &document.body) else { continue };
            let own = job.request.add.scope;
            let carries = scope.is_none_or(|scope| {
                own.ids().iter().zip(scope.ids()).all(|(own, asked)| asked.is_none() || *own == asked)
            });
            if !carries {
                continue;
            }
            // Who is about to store its facts has done so, or finds it gone.
            let _serialised = self.lock(&[&own]);
            if ledger.take(KIND, &document.id)?.is_some() {
                dropped.push((document.id, own));
            }
        }
        Ok(dropped)
    }

    /// Writes a request down; for the time of its lease it is the caller's.
    pub(super) fn keep(&self, job: &mut Job) -> Result<()> {
        let Some(ledger) = &self.model_services.documents else { return Ok(()) };
        let owner = job.request.add.scope.user_id.as_deref();
        let document = Document::new(KIND, job.id.as_str(), job.to_json()).of(owner).due(self.lease_end());
        ledger.put(&[document], Durability::Synced)?;
        job.kept = true;
        Ok(())
    }

    /// Whether nobody has removed the request since it was kept.
    pub(super) fn is_wanted(&self, job: &Job) -> Result<bool> {
        let ledger = self.model_services.documents.as_deref().filter(|_| job.kept);
        ledger.map_or(Ok(true), |ledger| Ok(ledger.document(KIND, &job.id)?.is_some()))
    }

    /// Ends a request; whether it was there, and so is the caller's to tell of.
    pub(super) fn done(&self, id: &str) -> Result<bool> {
        match &self.model_services.documents {
            Some(ledger) => Ok(ledger.take(KIND, id)?.is_some()),
            None => Ok(true),
        }
    }

    /// Lets a request wait.
    pub(super) fn postpone(&self, id: &str, error: &EngineError) -> Result<()> {
        let Some(ledger) = &self.model_services.documents else { return Ok(()) };
        let told = super::told(error);
        ledger.change(KIND, id, &mut |document| {
            let Some(mut job) = Job::from_json(&document.id, &document.body) else { return false };
            let pause = pause(job.attempts, error);
            job.attempts += 1;
            job.error = Some(told.to_owned());
            document.body = job.to_json();
            document.due = Some(after(pause));
            true
        })?;
        tracing::warn!(event_id = id, %error, "messages wait for a model");
        metrics::counter!("mnemon_extractions_postponed_total").increment(1);
        Ok(())
    }

    /// Says that a request is still being worked on. That it can't be said now is no reason to stop.
    pub(super) fn renew(&self, id: &str) {
        let Some(ledger) = &self.model_services.documents else { return };
        let renewed = ledger.change(KIND, id, &mut |document| {
            document.due = Some(self.lease_end());
            true
        });
        if let Err(error) = renewed {
            tracing::warn!(event_id = id, %error, "a lease could not be renewed");
        }
    }

    /// Notes what was extracted. Of two that extracted the same request the first is right, so that facts have one id;
    /// `None` if the request is there no more.
    pub(super) fn settle_on(&self, job: &Job, planned: Vec<Planned>) -> Result<Option<Vec<Planned>>> {
        let Some(ledger) = self.model_services.documents.as_deref().filter(|_| job.kept) else {
            return Ok(Some(planned));
        };
        let mut settled = None;
        ledger.change(KIND, &job.id, &mut |document| {
            let Some(mut found) = Job::from_json(&document.id, &document.body) else { return false };
            if let Some(planned) = found.planned {
                settled = Some(planned);
                return false;
            }
            found.planned = Some(planned.clone());
            settled.clone_from(&found.planned);
            document.body = found.to_json();
            document.due = Some(self.lease_end());
            true
        })?;
        Ok(settled)
    }

    fn take_up(&self) -> Result<Option<Job>> {
        let Some(ledger) = self.model_services.documents.as_deref() else { return Ok(None) };
        let now = Timestamp::now();
        for document in ledger.due(KIND, now, LOOKED_AT)? {
            if let Some(job) = self.claim(ledger, &document.id, now)? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// Makes a request the caller's, unless somebody else was faster.
    fn claim(&self, ledger: &dyn DocumentStore, id: &str, now: Timestamp) -> Result<Option<Job>> {
        let mut unreadable = false;
        let claimed = ledger.change(KIND, id, &mut |document| {
            if document.due.is_none_or(|due| due > now) {
                return false;
            }
            unreadable = Job::from_json(&document.id, &document.body).is_none();
            // What a newer version wrote is left to it.
            document.due = Some(if unreadable { after(UNKNOWN) } else { self.lease_end() });
            true
        })?;
        if unreadable {
            tracing::error!(event_id = id, "messages wait in a form that is not known here: use a newer mnemon");
        }
        Ok(claimed.and_then(|document| Job::from_json(&document.id, &document.body)))
    }

    fn lease_end(&self) -> Timestamp {
        after(self.model_services.lease)
    }
}

fn after(pause: std::time::Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_mins(5));
    Timestamp::now().checked_add(pause).unwrap_or(Timestamp::MAX)
}
