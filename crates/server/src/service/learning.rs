//! Extraction of facts from messages: at once if the models answer, otherwise from the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_engine::{AddedMemory, ErrorCode, Extractor, JobResult, LearnOutcome, LearnRequest, LearnResult};
use mnemon_store::Scope;
use serde_json::Map;

use super::app::{App, AppState};
use super::events::{Event, EventDraft, EventResult, EventStatus};
use super::webhooks::MemoryEvent;
use crate::error::Problem;

/// Workers that run extraction jobs.
const WORKERS: usize = 4;
/// How often an idle worker reads the queue.
const WORKER_POLL: Duration = Duration::from_secs(1);
/// How often a request that waits for its job reads the job's event.
const EVENT_POLL: Duration = Duration::from_millis(100);
/// The part of the request timeout that is reserved for sending the answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// The outcome of an extraction, for the caller.
pub(crate) struct LearnReply {
    pub(crate) event_id: String,
    pub(crate) extractor: Extractor,
    pub(crate) outcome: AddOutcome,
}

/// Whether the facts are stored.
pub(crate) enum AddOutcome {
    /// They are stored.
    Stored(Vec<StoredMemory>),
    /// The request is queued, for this reason.
    Pending(String),
}

/// A memory that was stored.
pub(crate) struct StoredMemory {
    pub(crate) id: String,
    pub(crate) memory: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) role: String,
}

impl From<AddedMemory> for StoredMemory {
    fn from(added: AddedMemory) -> Self {
        Self { id: added.id.to_string(), memory: added.memory, actor_id: added.actor_id, role: added.role.to_string() }
    }
}

impl App {
    /// Extracts facts and stores them. The scope of the request must come from [`crate::auth::Caller::scope`]. If a
    /// model is unavailable the request is queued; `wait` says whether to wait for the job, as long as the request
    /// timeout allows.
    pub(crate) async fn learn(self: &Arc<Self>, request: LearnRequest, wait: bool) -> Result<LearnReply, Problem> {
        let started = Instant::now();
        let deadline = started + self.config.request_timeout.saturating_sub(ANSWER_MARGIN);
        let (sender, mut queued) = tokio::sync::mpsc::unbounded_channel();
        let app = self.clone();
        // A separate task, so that it also completes if the caller disconnects or the deadline passes.
        let work = tokio::spawn(async move {
            let learning = app.clone();
            let mut on_queued = move |id: &str| drop(sender.send(id.to_owned()));
            app.blocking_on_model(move || learning.learn_reporting(request, &mut on_queued)).await
        });
        let reply = match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => done.map_err(|_| Problem::internal())???,
            Err(_) => {
                let Ok(event_id) = queued.try_recv() else { return Err(Problem::timeout()) };
                let outcome = AddOutcome::Pending("it is still being processed".to_owned());
                return Ok(LearnReply { event_id, extractor: Extractor::Llm, outcome });
            }
        };
        if !wait || matches!(reply.outcome, AddOutcome::Stored(_)) {
            return Ok(reply);
        }
        while Instant::now() < deadline {
            tokio::time::sleep(EVENT_POLL).await;
            let id = reply.event_id.clone();
            // A failed read is tried again until the deadline.
            let event = self.with_documents(move |documents| Ok(Event::find(documents, &id).ok().flatten())).await?;
            if let Some(event) = event.map(|document| document.body).filter(Event::is_finished) {
                return Ok(LearnReply { outcome: AddOutcome::of_event(&event), ..reply });
            }
        }
        Ok(reply)
    }

    /// Extracts facts and stores them, or queues the request. Blocks.
    pub(crate) fn learn_blocking(&self, request: LearnRequest) -> Result<LearnReply, Problem> {
        self.learn_reporting(request, &mut |_| {})
    }

    /// The same; `on_queued` gets the id of the event as soon as the event can be read. Blocks.
    fn learn_reporting(&self, request: LearnRequest, on_queued: &mut dyn FnMut(&str)) -> Result<LearnReply, Problem> {
        let scope = request.add.scope.clone();
        let metadata = request.add.metadata.clone();
        let owner = scope.user_id.as_deref();
        let draft = || EventDraft::of_add(&scope, &metadata, true);
        let mut queued = None;
        let learned = self.engine.learn_telling(request, &mut |id| {
            draft().save_pending(&*self.documents, id, owner, "it is being processed");
            queued = Some(id.to_owned());
            on_queued(id);
        });
        let update = |id: &str, status: EventStatus| draft().update_status(&*self.documents, id, owner, status);
        let LearnResult { event_id, extractor, outcome } = match learned {
            Ok(learned) => learned,
            Err(error) => {
                if let Some(id) = queued {
                    update(&id, EventStatus::Failed("the request was refused and is not kept".to_owned()));
                }
                return Err(error.into());
            }
        };
        let outcome = match outcome {
            LearnOutcome::Stored(added) => {
                self.webhooks.enqueue(&MemoryEvent::added(&added, owner));
                update(&event_id, EventStatus::Succeeded(EventResult::added(&added, owner)));
                AddOutcome::Stored(added.into_iter().map(StoredMemory::from).collect())
            }
            LearnOutcome::Pending { told, .. } => {
                update(&event_id, EventStatus::Pending(told.to_owned()));
                AddOutcome::Pending(told.to_owned())
            }
            // The request that cancelled the job has updated the event.
            LearnOutcome::Dropped => {
                let message = "The memories of this owner were deleted during the extraction; nothing was stored.";
                return Err(Problem::new(ErrorCode::Conflict, message));
            }
        };
        Ok(LearnReply { event_id, extractor, outcome })
    }

    /// Enqueues an extraction and returns the id of its event. Blocks.
    pub(crate) fn learn_later(&self, request: LearnRequest) -> Result<String, Problem> {
        let scope = request.add.scope.clone();
        let draft = EventDraft::of_add(&scope, &request.add.metadata, true);
        let event_id = self.engine.learn_later(request)?;
        draft.save_pending(&*self.documents, &event_id, scope.user_id.as_deref(), "it is queued");
        self.job_enqueued.notify_one();
        Ok(event_id)
    }

    /// Cancels the pending jobs of an owner whose memories are deleted; `None` cancels all jobs. Blocks.
    pub(crate) fn cancel_pending(&self, scope: Option<&Scope>) -> Result<(), Problem> {
        for (event_id, scope) in self.engine.cancel_pending(scope)? {
            let status = EventStatus::Failed("the memories of its owner were deleted while it was pending".to_owned());
            self.update_add_event(&event_id, &scope, status);
        }
        Ok(())
    }

    /// Runs one job that is due; false if none is. Blocks.
    fn run_due_job(&self) -> bool {
        let result = match self.engine.run_due_job() {
            Ok(Some(result)) => result,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%error, "could not claim an extraction job");
                return false;
            }
        };
        let JobResult { event_id, scope, outcome, .. } = result;
        let owner = scope.user_id.as_deref();
        let status = match outcome {
            LearnOutcome::Stored(added) => {
                tracing::info!(%event_id, memories = added.len(), "queued job completed");
                self.webhooks.enqueue(&MemoryEvent::added(&added, owner));
                EventStatus::Succeeded(EventResult::added(&added, owner))
            }
            LearnOutcome::Pending { told, .. } => EventStatus::Pending(told.to_owned()),
            LearnOutcome::Dropped => return true,
        };
        self.update_add_event(&event_id, &scope, status);
        true
    }

    fn update_add_event(&self, id: &str, scope: &Scope, status: EventStatus) {
        let draft = EventDraft::of_add(scope, &Map::new(), true);
        draft.update_status(&*self.documents, id, scope.user_id.as_deref(), status);
    }
}

impl AddOutcome {
    /// The outcome that an event records. It has neither actors nor roles.
    fn of_event(event: &Event) -> Self {
        let memory = |(id, memory): (&str, &str)| StoredMemory {
            id: id.to_owned(),
            memory: memory.to_owned(),
            actor_id: None,
            role: "user".to_owned(),
        };
        match event.stored_memories() {
            Some(memories) => Self::Stored(memories.map(memory).collect()),
            None => Self::Pending("the request failed".to_owned()),
        }
    }
}

/// Runs extraction jobs when they are due, until the server stops. A job that is interrupted then is claimed by another
/// process when its lease expires.
pub(crate) async fn run_jobs(app: AppState) {
    let worker = async || {
        loop {
            let job = app.clone();
            let ran_one = app.blocking_on_model(move || job.run_due_job()).await.unwrap_or(false);
            if !ran_one {
                update_queue_gauge(&app).await;
                tokio::select! {
                    () = tokio::time::sleep(WORKER_POLL) => {}
                    () = app.job_enqueued.notified() => {}
                }
            }
        }
    };
    let workers: [_; WORKERS] = std::array::from_fn(|_| worker());
    futures_util::future::join_all(workers).await;
}

async fn update_queue_gauge(app: &AppState) {
    let pending = app.with_engine(|engine| Ok(engine.pending_jobs()?)).await;
    metrics::gauge!("mnemon_extraction_queue").set(pending.unwrap_or_default().requests as f64);
}
