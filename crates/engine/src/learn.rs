//! Learning: extracts facts from messages, and stores the facts with the messages they came from.
//!
//! A request for a language model is stored as a job, in its event, before the model is called, and its facts are
//! stored in the job, with their ids, before they are stored as memories. If the process ends in between, another
//! worker claims the job. It does not call the model again if the facts are already there, and it stores no fact twice.
//! One write ends the job and records its results.

mod job;
mod jobs;
mod learner;
mod old_jobs;
mod outcome;
mod parked;
mod request;
mod retry;

use mnemon_store::{DocumentKind, RetryPolicy, Scope};

pub use learner::MAX_INSTRUCTIONS;
pub use outcome::{AddOutcome, JobResult, LearnResult, PendingJobs};
pub use parked::ParkedRequest;
pub use request::LearnRequest;

use crate::engine::Engine;
use crate::error::Result;
use crate::event::{Event, JobState};
use jobs::Jobs;
use learner::Learner;

/// Why a cancelled request failed.
const CANCELLED: &str = "the memories of its owner were deleted while it was pending";

/// The kinds of documents that learning requests and other events are stored in.
pub const DOCUMENT_KINDS: &[DocumentKind] =
    &[DocumentKind::of::<Event>(crate::event::KIND), DocumentKind::of::<JobState>(old_jobs::KIND)];

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

    /// Cancels the pending jobs of owners that have all ids of the scope, or all jobs: their events fail. Returns the
    /// ids of the events and the owners.
    ///
    /// # Errors
    /// Only if the store of jobs fails.
    pub fn cancel_pending(&self, scope: Option<&Scope>) -> Result<Vec<(String, Scope)>> {
        let scope = scope.map(|scope| self.stored_scope(scope)).transpose()?;
        let jobs = Jobs::new(&self.model_services);
        let mut cancelled = Vec::new();
        for (event_id, owner) in jobs.of_owner(scope.as_ref())? {
            // A worker that already holds the lock stores its facts first; a later worker finds a finished job.
            let _guards = self.lock(&[&owner]);
            if jobs.fail(&event_id, CANCELLED)? {
                cancelled.push((event_id, owner));
            }
        }
        Ok(cancelled)
    }
}
