//! Extraction of facts from messages: at once if the models answer, otherwise from the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_engine::{
    AddOutcome, EngineError, Event, EventStatus, Extractor, JobResult, LearnRequest, LearnResult, NotLearnt,
};

use super::app::{App, AppState};
use super::webhooks::MemoryEvent;
use crate::error::Problem;

/// Workers that run extraction jobs.
const WORKERS: usize = 4;
/// How often a request that waits for its job reads the job's event, in case another process finishes it.
const EVENT_POLL: Duration = Duration::from_millis(500);
/// The part of the request timeout that is reserved for sending the answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

impl App {
    /// Extracts facts and stores them. The scope of the request must come from [`crate::auth::Caller::scope`]. If a
    /// model is unavailable the request is queued; `wait` says whether to wait for the job, as long as the request
    /// timeout allows.
    pub(crate) async fn learn(self: &Arc<Self>, request: LearnRequest, wait: bool) -> Result<LearnResult, Problem> {
        let deadline = Instant::now() + self.config.request_timeout.saturating_sub(ANSWER_MARGIN);
        let (sender, mut queued) = tokio::sync::mpsc::unbounded_channel();
        let app = self.clone();
        // A separate task, so that it also completes if the caller disconnects or the deadline passes.
        let work = tokio::spawn(async move {
            let learning = app.clone();
            let mut on_queued = move |id: &str| drop(sender.send(id.to_owned()));
            app.blocking_on_model(move || learning.learn_reporting(request, &mut on_queued)).await
        });
        let learned = match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(done) => done.map_err(|_| Problem::internal())???,
            Err(_) => {
                let Ok(event_id) = queued.try_recv() else { return Err(Problem::timeout()) };
                let outcome = pending("it is still being processed");
                return Ok(LearnResult { event_id, extractor: Extractor::Llm, outcome, not_learnt: Vec::new() });
            }
        };
        if wait
            && matches!(learned.outcome, AddOutcome::Pending { .. })
            && let Some((outcome, not_learnt)) = self.finished(&learned.event_id, deadline).await?
        {
            return Ok(LearnResult { outcome, not_learnt, ..learned });
        }
        Ok(learned)
    }

    /// Waits until a job is finished, and returns its outcome; `None` at the deadline.
    async fn finished(
        &self,
        event_id: &str,
        deadline: Instant,
    ) -> Result<Option<(AddOutcome, Vec<NotLearnt>)>, Problem> {
        while Instant::now() < deadline {
            // Before the event is read, so that an end in between is noticed.
            let mut finished = std::pin::pin!(self.job_finished.notified());
            finished.as_mut().enable();
            let (events, id) = (self.events.clone(), event_id.to_owned());
            // A failed read is tried again until the deadline.
            let event = self.blocking(move || events.find(&id).ok().flatten()).await?;
            if let Some(outcome) = event.and_then(|event| Some((outcome_of(&event.body)?, event.body.not_learnt))) {
                return Ok(Some(outcome));
            }
            let next_read = (Instant::now() + EVENT_POLL).min(deadline);
            let _ = tokio::time::timeout_at(next_read.into(), finished).await;
        }
        Ok(None)
    }

    /// Extracts facts and stores them, or queues the request. Blocks.
    pub(crate) fn learn_blocking(&self, request: LearnRequest) -> Result<LearnResult, EngineError> {
        self.learn_reporting(request, &mut |_| {})
    }

    /// The same; `on_queued` gets the id of the event as soon as the event can be read. Blocks.
    fn learn_reporting(
        &self,
        request: LearnRequest,
        on_queued: &mut dyn FnMut(&str),
    ) -> Result<LearnResult, EngineError> {
        let owner = request.add.scope.user_id.clone();
        let learned = self.engine.learn_reporting(request, on_queued)?;
        self.report_stored(&learned.outcome, owner.as_deref());
        Ok(learned)
    }

    /// Enqueues an extraction and returns the id of its event. Blocks.
    pub(crate) fn learn_later(&self, request: LearnRequest) -> Result<String, EngineError> {
        let event_id = self.engine.learn_later(request)?;
        self.job_enqueued.notify_one();
        Ok(event_id)
    }

    /// Runs one job that is due; false if none is. Blocks.
    fn run_due_job(&self) -> bool {
        let result = match self.engine.run_due_job() {
            Ok(Some(result)) => result,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%error, "could not run an extraction job");
                return false;
            }
        };
        let JobResult { event_id, scope, outcome } = result;
        if let AddOutcome::Stored(added) = &outcome {
            tracing::info!(%event_id, memories = added.len(), "queued job completed");
        }
        self.report_stored(&outcome, scope.user_id.as_deref());
        self.job_finished.notify_waiters();
        true
    }

    /// Reports stored facts to webhooks.
    fn report_stored(&self, outcome: &AddOutcome, owner: Option<&str>) {
        if let AddOutcome::Stored(added) = outcome {
            self.webhooks.enqueue(&MemoryEvent::added(added, owner));
        }
    }
}

fn pending(reason: &'static str) -> AddOutcome {
    AddOutcome::Pending { error: None, public_reason: reason }
}

/// The outcome that a finished event records; `None` while it is pending.
fn outcome_of(event: &Event) -> Option<AddOutcome> {
    match event.status {
        EventStatus::Pending => None,
        EventStatus::Succeeded => event.added().map(AddOutcome::Stored),
        EventStatus::Failed if event.is_parked() => {
            Some(AddOutcome::Parked { error: None, public_reason: "see its event" })
        }
        EventStatus::Failed => Some(pending("the request failed")),
    }
}

/// Runs extraction jobs when they are due, until the server stops. A job that is interrupted then is claimed by another
/// process when its lease expires.
pub(crate) async fn run_jobs(app: AppState) {
    let poll = app.engine.job_policy().poll;
    let worker = async || {
        loop {
            let job = app.clone();
            let ran_one = app.blocking_on_model(move || job.run_due_job()).await.unwrap_or(false);
            if !ran_one {
                tokio::select! {
                    () = tokio::time::sleep(poll) => {}
                    () = app.job_enqueued.notified() => {}
                }
            }
        }
    };
    let workers: [_; WORKERS] = std::array::from_fn(|_| worker());
    futures_util::future::join_all(workers).await;
}
