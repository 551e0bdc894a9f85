//! Learning from what was said: at once where the models answer, and from the queue where they were away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use mnemon_engine::{AddedMemory, Extractor, JobResult, LearnOutcome, LearnRequest, LearnResult};
use mnemon_store::Scope;
use serde_json::{Value, json};

use crate::app::{App, Shared};
use crate::error::Problem;
use crate::rest::events::{self, Doing, End, EventResult};
use crate::webhooks::{Happened, HappenedKind};

/// Requests that are taken from the queue at once.
const AT_ONCE: usize = 4;
/// How often to look for one that is due, when none was.
const LOOK: Duration = Duration::from_secs(1);
/// How often who waits for a request looks what became of it.
const GLANCE: Duration = Duration::from_millis(100);
/// Before the request's time is up an answer must be on its way.
const MARGIN: Duration = Duration::from_secs(2);

/// What a caller is told.
pub(crate) struct Told {
    pub(crate) event_id: String,
    pub(crate) extractor: Extractor,
    /// What was stored; `None` while it waits, and then why.
    pub(crate) added: Result<Vec<AddedFact>, String>,
}

/// A fact that was stored.
pub(crate) struct AddedFact {
    pub(crate) id: String,
    pub(crate) memory: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) role: String,
}

impl From<AddedMemory> for AddedFact {
    fn from(added: AddedMemory) -> Self {
        Self { id: added.id.to_string(), memory: added.memory, actor_id: added.actor_id, role: added.role }
    }
}

impl App {
    /// Learns from a request whose scope comes from [`crate::auth::Caller::scope`]. Where a model is away, `wait` says
    /// whether to stay until it is back, as long as the request's time allows.
    pub(crate) async fn learn(self: &Arc<Self>, request: LearnRequest, wait: bool) -> Result<Told, Problem> {
        let begun = Instant::now();
        let end = begun + self.config.request_timeout.saturating_sub(MARGIN);
        let (kept, mut name) = tokio::sync::mpsc::unbounded_channel();
        let app = self.clone();
        // Goes on by itself, whoever waits for it.
        let work = tokio::spawn(async move {
            let working = app.clone();
            app.thinking(move || working.learn_telling(request, &mut |id| drop(kept.send(id.to_owned())))).await
        });
        let told = match tokio::time::timeout_at(end.into(), work).await {
            Ok(done) => done.map_err(|_| Problem::internal())???,
            // It takes longer than a caller waits.
            Err(_) => {
                let Ok(event_id) = name.try_recv() else { return Err(Problem::timeout()) };
                let added = Err("it is still being worked on".to_owned());
                return Ok(Told { event_id, extractor: Extractor::Llm, added });
            }
        };
        if !wait || told.added.is_ok() {
            return Ok(told);
        }
        while Instant::now() < end {
            tokio::time::sleep(GLANCE).await;
            let (app, id) = (self.clone(), told.event_id.clone());
            let event = self.blocking(move || events::find(&app, &id)).await?;
            if let Some(event) = event.filter(events::Event::is_over) {
                let fact = |(id, memory): (&str, &str)| AddedFact {
                    id: id.to_owned(),
                    memory: memory.to_owned(),
                    actor_id: None,
                    role: "user".to_owned(),
                };
                let added = event.added().map(|memories| memories.map(fact).collect());
                return Ok(Told { added: added.ok_or_else(|| "it was given up".to_owned()), ..told });
            }
        }
        Ok(told)
    }

    /// Blocks.
    pub(crate) fn learn_now(&self, request: LearnRequest) -> Result<Told, Problem> {
        self.learn_telling(request, &mut |_| {})
    }

    /// The same, telling the event's name once there is something to watch. Blocks.
    fn learn_telling(&self, request: LearnRequest, told: &mut dyn FnMut(&str)) -> Result<Told, Problem> {
        let scope = request.add.scope.clone();
        let metadata = request.add.metadata.clone();
        let owner = scope.user_id.as_deref();
        let mut event = None;
        let learned = self.engine.learn_telling(request, &mut |id| {
            doing(&scope, &metadata).waits(self, id, owner, "it is being worked on");
            event = Some(id.to_owned());
            told(id);
        });
        let became = |id: &str, end: End| events::became(self, id, owner, doing(&scope, &metadata), end);
        let LearnResult { event_id, extractor, outcome } = match learned {
            Ok(learned) => learned,
            Err(error) => {
                if let Some(id) = event {
                    became(&id, End::Failed("it was refused, and is not kept".to_owned()));
                }
                return Err(error.into());
            }
        };
        let added = match outcome {
            LearnOutcome::Stored(added) => {
                self.webhooks.queue(&happened(&added, owner));
                became(&event_id, End::Succeeded(results(&added, owner)));
                Ok(added.into_iter().map(AddedFact::from).collect())
            }
            LearnOutcome::Pending { told, .. } => {
                became(&event_id, End::Waits(told.to_owned()));
                Err(told.to_owned())
            }
            // Who dropped it has told the event.
            LearnOutcome::Dropped => {
                let message = "The memories of this owner were deleted while it was worked on; nothing was stored.";
                return Err(Problem::new(StatusCode::CONFLICT, "conflict", message));
            }
        };
        Ok(Told { event_id, extractor, added })
    }

    /// Keeps a request to be learnt from soon, and returns the event's name. Blocks.
    pub(crate) fn learn_later(&self, request: LearnRequest) -> Result<String, Problem> {
        let scope = request.add.scope.clone();
        let doing = doing(&scope, &request.add.metadata);
        let event_id = self.engine.learn_later(request)?;
        doing.waits(self, &event_id, scope.user_id.as_deref(), "it has its turn soon");
        self.learning.notify_one();
        Ok(event_id)
    }

    /// Forgets what waits of an owner whose memories go, or all there is. Blocks.
    pub(crate) fn cancel_pending(&self, scope: Option<&Scope>) -> Result<(), Problem> {
        for (event_id, scope) in self.engine.cancel_pending(scope)? {
            let gone = End::Failed("the memories of its owner were deleted while it waited".to_owned());
            events::became(self, &event_id, scope.user_id.as_deref(), doing(&scope, &serde_json::Map::new()), gone);
        }
        Ok(())
    }

    /// Takes up one request that is due; whether there was one. Blocks.
    fn run_due_job(&self) -> bool {
        let worked = match self.engine.run_due_job() {
            Ok(Some(worked)) => worked,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%error, "what waits for a model could not be taken up");
                return false;
            }
        };
        let JobResult { event_id, scope, outcome, .. } = worked;
        let owner = scope.user_id.as_deref();
        let end = match outcome {
            LearnOutcome::Stored(added) => {
                tracing::info!(%event_id, memories = added.len(), "learnt from what had waited");
                self.webhooks.queue(&happened(&added, owner));
                End::Succeeded(results(&added, owner))
            }
            LearnOutcome::Pending { told, .. } => End::Waits(told.to_owned()),
            LearnOutcome::Dropped => return true,
        };
        events::became(self, &event_id, owner, doing(&scope, &serde_json::Map::new()), end);
        true
    }
}

/// Takes up what waits, as its time comes, until the server stops; what is under way then is taken up by the next.
pub(crate) async fn run_due_job(app: Shared) {
    let worker = async || {
        loop {
            let again = {
                let app = app.clone();
                app.clone().thinking(move || app.run_due_job()).await
            };
            if !again.unwrap_or(false) {
                tell_of_waiting(&app).await;
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = app.learning.notified() => {}
                }
            }
        }
    };
    let workers: [_; AT_ONCE] = std::array::from_fn(|_| worker());
    futures_util::future::join_all(workers).await;
}

/// For whoever watches the queue.
async fn tell_of_waiting(app: &Shared) {
    let waiting = app.engine(|engine| Ok(engine.pending_jobs()?)).await;
    metrics::gauge!("mnemon_extraction_queue").set(waiting.unwrap_or_default().requests as f64);
}

fn doing(scope: &Scope, metadata: &serde_json::Map<String, Value>) -> Doing {
    let payload = json!({
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "app_id": metadata.get("app_id"),
        "run_id": scope.run_id,
        "infer": true,
    });
    Doing::new("ADD", payload)
}

fn results(added: &[AddedMemory], owner: Option<&str>) -> Vec<EventResult> {
    added.iter().map(|added| events::result(added.id, "ADD", &added.memory, owner)).collect()
}

fn happened(added: &[AddedMemory], owner: Option<&str>) -> Vec<Happened> {
    let happened = |added: &AddedMemory| Happened {
        kind: HappenedKind::Add,
        id: added.id.to_string(),
        memory: added.memory.clone(),
        owner: owner.map(str::to_owned),
    };
    added.iter().map(happened).collect()
}
