//! Parked requests: the models answered, but refused them or answered unusably, so that nothing was learnt. They are kept
//! with their messages until somebody tries them again, edits or drops them.

use jiff::Timestamp;
use mnemon_store::filter::ScopeKey;
use mnemon_store::{Document, Scope};

use super::job::Job;
use super::jobs::Jobs;
use crate::engine::Engine;
use crate::error::Result;
use crate::event::Event;
use crate::message::Message;

/// Why a dropped request failed.
const DROPPED: &str = "it was parked, and then dropped";

/// A request that nothing was learnt from.
#[derive(Clone, Debug)]
pub struct ParkedRequest {
    /// The id of its event.
    pub event_id: String,
    /// The owner of the facts.
    pub scope: Scope,
    /// Its messages, in order.
    pub messages: Vec<Message>,
    /// Number of failed attempts.
    pub attempts: usize,
    /// Why the last one failed, for callers.
    pub reason: String,
    /// The code of that error.
    pub code: Option<String>,
    /// That error with the message of the model's service: for operators only.
    pub detail: Option<String>,
    /// When the request was received.
    pub received: Timestamp,
    /// When it was parked.
    pub parked: Timestamp,
}

impl ParkedRequest {
    fn of(event: Document<Event>) -> Option<Self> {
        let Document { id, body: event, .. } = event;
        if !event.is_parked() {
            return None;
        }
        let (received, parked) = (event.created_at, event.updated_at);
        let reason = event.error.unwrap_or_default();
        let state = event.job?;
        let (code, detail) = state.failure.clone().map(|failure| (failure.code, failure.detail)).unzip();
        let Job { id: event_id, request, attempts, .. } = Job::from_state(id, state);
        let (scope, messages) = (request.add.scope, request.add.messages);
        Some(Self { event_id, scope, messages, attempts, reason, code, detail, received, parked })
    }
}

impl Engine {
    /// The first `limit` parked requests of a user, or of all owners; the longest queued first. They are read one by one.
    ///
    /// # Errors
    /// Only if the store of memories or of jobs fails.
    pub fn parked_requests(&self, user: Option<&str>, limit: usize) -> Result<Vec<ParkedRequest>> {
        let jobs = Jobs::new(&self.model_services);
        let Some(queue) = jobs.queue() else { return Ok(Vec::new()) };
        let owners = user.map(|user| self.owner_forms(ScopeKey::User, user)).transpose()?;
        let is_of = |event: &Document<Event>| {
            owners.as_ref().is_none_or(|owners| event.owner.as_ref().is_some_and(|owner| owners.contains(owner)))
        };
        let parked = queue.parked()?.filter_map(|event| {
            let event = event.inspect_err(|error| tracing::error!(%error, "a parked request is left out")).ok()?;
            is_of(&event).then(|| ParkedRequest::of(event)).flatten()
        });
        Ok(parked.take(limit).collect())
    }

    /// A parked request by the id of its event.
    ///
    /// # Errors
    /// If the store of jobs fails, or the event can't be read.
    pub fn parked_request(&self, event_id: &str) -> Result<Option<ParkedRequest>> {
        let jobs = Jobs::new(&self.model_services);
        let event = jobs.queue().map(|queue| queue.collection().get(event_id)).transpose()?.flatten();
        Ok(event.and_then(ParkedRequest::of))
    }

    /// Makes a parked request pending, with new attempts; returns whether it was parked. With messages, they replace its
    /// own.
    ///
    /// # Errors
    /// [`EngineError::Invalid`](crate::EngineError::Invalid) for messages that can't be learnt from, and nothing is changed; others if the store of jobs
    /// fails.
    pub fn resume_parked(&self, event_id: &str, messages: Option<&[Message]>) -> Result<bool> {
        let jobs = Jobs::new(&self.model_services);
        let Some(queue) = jobs.queue() else { return Ok(false) };
        let mut fault = None;
        let resumed = queue.resume(event_id, &mut |event| {
            let Some(state) = event.job.take() else { return false };
            let mut job = Job::from_state(event_id.to_owned(), state);
            if let Some(messages) = messages {
                job.request.add.messages = messages.to_vec();
                job.request.add.messages.retain(|message| !message.is_blank());
                (job.planned, job.not_learnt) = (None, Vec::new());
                fault = job.request.add.check(self.store()).err();
            }
            event.job = Some(job.state());
            event.resume();
            fault.is_none()
        })?;
        match fault {
            Some(fault) => Err(fault),
            None => Ok(resumed.is_some()),
        }
    }

    /// Drops a parked request with its messages; its event stays. Returns whether it was parked.
    ///
    /// # Errors
    /// If the store of jobs fails.
    pub fn drop_parked(&self, event_id: &str) -> Result<bool> {
        let jobs = Jobs::new(&self.model_services);
        let dropped = jobs.queue().map(|queue| queue.drop_parked(event_id, &mut |event| event.fail(DROPPED)));
        Ok(dropped.transpose()?.unwrap_or(false))
    }
}
