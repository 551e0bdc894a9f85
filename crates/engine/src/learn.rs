//! Learning: extracts facts from messages, and stores the facts with the messages they came from.
//!
//! A request for a language model is stored as a job, in its event, before the model is called, and its facts are
//! stored in the job, with their ids, before they are stored as memories. If the process ends in between, another
//! worker claims the job. It does not call the model again if the facts are already there, and it stores no fact twice.
//! One write ends the job and records its results.

mod failures;
mod job;
mod jobs;
mod learner;
mod old_jobs;
mod outcome;
mod parked;
mod request;
mod retry;

use mnemon_store::filter::Origin;
use mnemon_store::{DocumentKind, Filter, RetryPolicy, Scope, time_text};

pub use learner::MAX_INSTRUCTIONS;
pub use outcome::{AddOutcome, JobResult, LearnResult, PendingJobs};
pub use parked::ParkedRequest;
pub use request::LearnRequest;

use crate::add::{AddRequest, build_payload};
use crate::engine::Engine;
use crate::error::Result;
use crate::event::{Event, JobState};
use job::Job;
use jobs::Jobs;
use learner::Learner;

/// Why a cancelled request failed.
const CANCELLED: &str = "the memories of its owner were deleted while it was pending";

/// The kinds of documents that learning requests and other events are stored in.
pub const DOCUMENT_KINDS: &[DocumentKind] = &[
    DocumentKind::of::<Event>(crate::event::KIND),
    DocumentKind::of::<JobState>(old_jobs::KIND),
    DocumentKind::of::<failures::Failure>(failures::KIND),
];

impl Engine {
    /// Learns from messages: extracts facts and stores them.
    ///
    /// If a model fails, the request becomes a pending job, which [`Engine::run_due_job`] tries again, or is parked.
    ///
    /// # Errors
    /// [`EngineError::Invalid`](crate::EngineError::Invalid) for no messages, empty ones or invalid metadata, before
    /// any model is called; [`EngineError::NoLanguageModel`](crate::EngineError::NoLanguageModel) for a procedure
    /// without a language model; the model's error if jobs can't be stored.
    pub fn learn(&self, request: LearnRequest) -> Result<LearnResult> {
        self.learn_reporting(request, &mut |_| {})
    }

    /// The same; `on_stored` receives the event id as soon as the job is stored, before any model is called.
    ///
    /// # Errors
    /// As [`Engine::learn`].
    pub fn learn_reporting(&self, request: LearnRequest, on_stored: &mut dyn FnMut(&str)) -> Result<LearnResult> {
        Learner::new(self).learn(request, on_stored)
    }

    /// Stores a request as a job that is due at once, and returns its event id. Without a place for jobs, the request
    /// is processed before this returns.
    ///
    /// # Errors
    /// As [`Engine::learn`], before any model is called.
    pub fn learn_later(&self, request: LearnRequest) -> Result<String> {
        Learner::new(self).enqueue(request)
    }

    /// Claims the job that has been due longest and processes it; `None` if no job is due. Concurrent callers, in this
    /// process or in others, claim different jobs.
    ///
    /// # Errors
    /// If the store fails: the job stays pending until it is claimed again.
    pub fn run_due_job(&self) -> Result<Option<JobResult>> {
        Learner::new(self).run_due_job()
    }

    /// Counts the pending jobs, including those that are being processed.
    ///
    /// # Errors
    /// Only if the store of jobs fails.
    pub fn pending_jobs(&self) -> Result<PendingJobs> {
        Jobs::new(&self.model_services).summary()
    }

    /// Makes a pending job due now.
    ///
    /// # Errors
    /// Only if the store of jobs fails.
    pub fn run_soon(&self, event_id: &str) -> Result<()> {
        Jobs::new(&self.model_services).make_due(event_id)
    }

    /// When pending jobs are tried.
    pub fn job_policy(&self) -> RetryPolicy {
        retry::policy(self.model_services.lease)
    }

    /// Cancels the pending and parked jobs whose facts would match the filter, or all jobs: their events fail. Returns the
    /// ids of the events and the owners.
    ///
    /// # Errors
    /// Only if the store of jobs fails.
    pub fn cancel_pending(&self, filter: Option<&Filter>) -> Result<Vec<(String, Scope)>> {
        let filter = filter.map(|filter| self.stored_filter(filter)).transpose()?;
        let jobs = Jobs::new(&self.model_services);
        let mut cancelled = Vec::new();
        for job in jobs.all()? {
            if let Some(filter) = &filter
                && !self.facts_match(filter, &job)?
            {
                continue;
            }
            let owner = job.request.add.scope;
            // A worker that already holds the lock stores its facts first; a later worker finds a finished job.
            let _guards = self.lock(&[&owner]);
            if jobs.fail(&job.id, CANCELLED)? {
                cancelled.push((job.id, owner));
            }
        }
        Ok(cancelled)
    }

    /// Whether the facts of a job will match a filter, whose ids are in the form of the store. Their texts, which are not
    /// known yet, are taken as empty.
    fn facts_match(&self, filter: &Filter, job: &Job) -> Result<bool> {
        let add = AddRequest { scope: self.stored_scope(&job.request.add.scope)?, ..job.request.add.clone() };
        let payload = build_payload(&add, "", None, "", &time_text(job.received));
        let origin = Origin { session: add.session.as_deref(), event_time: add.timestamp };
        Ok(filter.matches_with(payload.as_map(), origin))
    }
}
