//! The pending jobs, in the queue of events.

use mnemon_store::Queue;

use super::failures::{Failure, Failures};
use super::job::Job;
use super::old_jobs::OldJobs;
use super::outcome::PendingJobs;
use super::retry::{is_about_request, pause, policy, public_reason};
use crate::add::AddedMemory;
use crate::config::ModelServices;
use crate::error::{EngineError, Result};
use crate::event::{Event, EventResult, Events, JobFailure, KIND, NotLearnt, PlannedFact};

/// Jobs of an older version that are moved into their events together.
const BATCH: usize = 32;

/// The pending jobs. Without a document store there are none, and nothing is stored.
pub(super) struct Jobs {
    stored: Option<StoredJobs>,
}

struct StoredJobs {
    queue: Queue<Event>,
    events: Events,
    old: OldJobs,
    failures: Failures,
}

impl Jobs {
    pub(super) fn new(model_services: &ModelServices) -> Self {
        let stored = model_services.documents.clone().map(|documents| StoredJobs {
            queue: Queue::new(documents.clone(), KIND, policy(model_services.lease)),
            events: Events::new(documents.clone()),
            old: OldJobs::new(documents.clone(), policy(model_services.lease)),
            failures: Failures::new(documents),
        });
        Self { stored }
    }

    /// Whether jobs can be stored.
    pub(super) fn are_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Stores a job that is claimed by the caller.
    pub(super) fn push_claimed(&self, job: &mut Job) -> Result<()> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let event = stored.queue.collection().document(job.id.as_str(), job.event("it is being processed"));
        stored.queue.push_claimed(event.owned_by(job.owner()))?;
        job.queued = true;
        Ok(())
    }

    /// Stores a job that is due now.
    pub(super) fn push(&self, job: &Job) -> Result<()> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let event = stored.queue.collection().document(job.id.as_str(), job.event("it is queued"));
        Ok(stored.queue.push(vec![event.owned_by(job.owner())])?)
    }

    /// Claims the job that has been due longest, unless other workers claim all that are due.
    pub(super) fn claim_next(&self) -> Result<Option<Job>> {
        let Some(stored) = &self.stored else { return Ok(None) };
        stored.old.adopt(stored.queue.collection(), jiff::Timestamp::now(), BATCH)?;
        while let Some(event) = stored.queue.claim()? {
            match event.body.job {
                Some(state) => return Ok(Some(Job::from_state(event.id, state))),
                // No version writes such an event.
                None => stored.finish(&event.id, &mut |event| event.fail("its messages are missing")).map(drop)?,
            }
        }
        Ok(None)
    }

    /// Renews the claim of a job. A failure is only logged: the work can go on.
    pub(super) fn renew(&self, id: &str) {
        let Some(stored) = &self.stored else { return };
        if let Err(error) = stored.queue.renew(id) {
            tracing::warn!(event_id = id, %error, "could not renew the lease of a job");
        }
    }

    /// Records the extracted facts in the job. If two workers extracted the same job, the first recorded facts count,
    /// so that each fact has one id. Returns the facts that count, or `None` if the job was cancelled or finished.
    pub(super) fn record_facts(
        &self,
        job: &Job,
        facts: Vec<PlannedFact>,
        not_learnt: &[NotLearnt],
    ) -> Result<Option<Vec<PlannedFact>>> {
        let Some(stored) = self.stored.as_ref().filter(|_| job.queued) else { return Ok(Some(facts)) };
        let mut recorded = None;
        stored.queue.update(&job.id, &mut |event| {
            let Some(state) = &mut event.job else { return false };
            let is_first = state.planned.is_none();
            if is_first {
                state.not_learnt = not_learnt.to_vec();
            }
            recorded = Some(state.planned.get_or_insert_with(|| facts.clone()).clone());
            is_first
        })?;
        self.renew(&job.id);
        Ok(recorded)
    }

    /// Whether the job was neither cancelled nor finished since it was stored.
    pub(super) fn is_pending(&self, job: &Job) -> Result<bool> {
        let Some(stored) = self.stored.as_ref().filter(|_| job.queued) else { return Ok(true) };
        Ok(stored.queue.collection().get(&job.id)?.is_some_and(|event| event.due.is_some()))
    }

    /// Schedules another attempt of a failed job, or parks it; returns whether it will be tried again.
    pub(super) fn retry_later(&self, job: &Job, error: &EngineError) -> Result<bool> {
        let Some(stored) = &self.stored else { return Ok(true) };
        let attempts = job.attempts + 1;
        let refusals = job.refusals + usize::from(is_about_request(error));
        let pause = pause(stored.queue.policy(), attempts, refusals, error);
        let (reason, id) = (public_reason(error), job.id.as_str());
        let failure = JobFailure { code: error.code().as_str().to_owned(), detail: error.to_string() };
        let mut change = |event: &mut Event| {
            event.error = Some(reason.to_owned());
            event.updated_at = jiff::Timestamp::now();
            if let Some(state) = &mut event.job {
                (state.attempts, state.refusals) = (attempts, Some(refusals));
                state.failure = Some(failure.clone());
            }
            if pause.is_none() {
                event.park(reason);
            }
        };
        let hint = error.log_hint();
        let Some(pause) = pause else {
            stored.queue.park(id, &mut change)?;
            stored.failures.remove(id);
            tracing::error!(event_id = id, %error, hint, attempts, "a job failed and is parked");
            metrics::counter!("mnemon_extractions_parked_total").increment(1);
            return Ok(false);
        };
        if stored.queue.retry_later(id, pause, &mut change)? {
            stored.failures.save(id, job.owner(), Failure { reason: reason.to_owned(), error: failure.clone() });
        }
        tracing::warn!(event_id = id, %error, hint, "a job failed and will be tried again");
        metrics::counter!("mnemon_extractions_postponed_total").increment(1);
        Ok(true)
    }

    /// The queue of events, if jobs can be stored.
    pub(super) fn queue(&self) -> Option<&Queue<Event>> {
        self.stored.as_ref().map(|stored| &stored.queue)
    }

    /// Makes a job due now.
    pub(super) fn make_due(&self, id: &str) -> Result<()> {
        let Some(stored) = &self.stored else { return Ok(()) };
        stored.queue.make_due(id)?;
        Ok(())
    }

    /// Records the stored facts and ends the job, in one write. Returns whether it was pending: of several callers
    /// only one gets true. A job that was never queued gets an event now.
    pub(super) fn succeed(&self, job: &Job, added: &[AddedMemory]) -> Result<bool> {
        let Some(stored) = &self.stored else { return Ok(true) };
        let results = EventResult::added(added, job.owner());
        if job.queued {
            return stored.finish(&job.id, &mut |event| event.succeed(results.clone()));
        }
        stored.events.save(job.event("").succeeded(results), job.owner());
        Ok(true)
    }

    /// Ends a job that will not be done. Returns whether it was pending.
    pub(super) fn fail(&self, id: &str, reason: &str) -> Result<bool> {
        let Some(stored) = &self.stored else { return Ok(true) };
        stored.finish(id, &mut |event| event.fail(reason))
    }

    /// All jobs, claimed and parked ones included. A job that can't be read is logged and left out.
    pub(super) fn all(&self) -> Result<Vec<Job>> {
        let Some(stored) = &self.stored else { return Ok(Vec::new()) };
        stored.old.adopt(stored.queue.collection(), jiff::Timestamp::MAX, usize::MAX)?;
        let jobs = stored.queue.queued(usize::MAX)?.into_iter().filter_map(|event| {
            let event = event.inspect_err(|error| tracing::error!(%error, "a job can't be cancelled")).ok()?;
            Some(Job::from_state(event.id, event.body.job?))
        });
        Ok(jobs.collect())
    }

    /// The number of jobs, and why one of them failed. Messages are not read.
    pub(super) fn summary(&self) -> Result<PendingJobs> {
        let Some(stored) = &self.stored else { return Ok(PendingJobs::default()) };
        let requests = stored.queue.count()? + stored.old.count()?;
        let failure = if requests > 0 { stored.failures.any()? } else { None };
        let (reason, error) = failure.map(|failure| (failure.reason, failure.error)).unzip();
        let (code, detail) = error.map(|error| (error.code, error.detail)).unzip();
        Ok(PendingJobs { requests, reason, code, detail, parked: stored.queue.count_parked()? })
    }
}

impl StoredJobs {
    fn finish(&self, id: &str, end: &mut dyn FnMut(&mut Event)) -> Result<bool> {
        let was_pending = self.queue.finish_with(id, end)?.is_some();
        self.failures.remove(id);
        self.events.trim_sometimes();
        Ok(was_pending)
    }
}
