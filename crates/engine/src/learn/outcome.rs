//! The result of a learning request.

use mnemon_store::Scope;

use crate::add::AddedMemory;
use crate::error::EngineError;
use crate::event::NotLearnt;
use crate::extract::Extractor;

/// The result of a learning request.
#[derive(Debug)]
pub struct LearnResult {
    /// The id of the request's event.
    pub event_id: String,
    /// What extracts the facts.
    pub extractor: Extractor,
    /// The outcome.
    pub outcome: AddOutcome,
    /// Messages that nothing was learnt from, if facts of others were stored.
    pub not_learnt: Vec<NotLearnt>,
}

/// The outcome of a learning request.
#[derive(Debug)]
pub enum AddOutcome {
    /// These facts were stored durably. Facts that the owner already had are not among them.
    Stored(Vec<AddedMemory>),
    /// The request is stored durably and will be tried again, because a model failed.
    Pending {
        /// The error of the model, with the message of its service: for operators. `None` if another call got it.
        error: Option<Box<EngineError>>,
        /// The reason without that message: for callers.
        public_reason: &'static str,
    },
    /// The request is stored durably and will not be tried again unless somebody resumes it: a model answers, but refuses
    /// the request or answers unusably.
    Parked {
        /// The error of the model, with the message of its service: for operators. `None` if another call got it.
        error: Option<Box<EngineError>>,
        /// The reason without that message: for callers.
        public_reason: &'static str,
    },
    /// The request was cancelled because its owner's memories were deleted, or another worker finished it. This call stored
    /// nothing.
    Cancelled,
}

/// The result of a job.
#[derive(Debug)]
pub struct JobResult {
    /// The id of the request's event.
    pub event_id: String,
    /// The owner of the facts.
    pub scope: Scope,
    /// The outcome.
    pub outcome: AddOutcome,
}

/// The jobs that are pending or being processed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingJobs {
    /// Their number.
    pub requests: usize,
    /// Why one of them failed, in a form that callers may see; `None` if none has failed.
    pub reason: Option<String>,
    /// The code of that error; `None` if an older version recorded it.
    pub code: Option<String>,
    /// That error with the message of the model's service: for operators only.
    pub detail: Option<String>,
    /// The number of parked requests, which are not among [`PendingJobs::requests`].
    pub parked: usize,
}
