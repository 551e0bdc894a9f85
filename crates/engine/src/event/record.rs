//! An event as it is stored.

use jiff::Timestamp;
use mnemon_store::{EventKind, EventName, Memory, Role, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::job::{JobState, NotLearnt};
use crate::add::AddedMemory;

/// A request that adds, changes or deletes memories, and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// What the request asked for.
    pub event_type: RequestKind,
    /// How far it is.
    pub status: EventStatus,
    /// Describes the request.
    pub payload: Map<String, Value>,
    /// Always empty; part of the stored format.
    pub metadata: Map<String, Value>,
    /// The memories that were added, changed or deleted.
    pub results: Vec<EventResult>,
    /// Milliseconds from start to end; 0 while it is pending.
    pub latency: f64,
    /// When the request was received.
    pub created_at: Timestamp,
    /// When the event last changed.
    pub updated_at: Timestamp,
    /// When the work started.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it is pending, or why it failed.
    pub error: Option<String>,
    /// Messages of the request that nothing was learnt from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_learnt: Vec<NotLearnt>,
    /// The job of a learning request that is pending or parked, with its messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobState>,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestKind {
    /// To add memories.
    Add,
    /// To change memories.
    Update,
    /// To delete memories by their ids.
    Delete,
    /// To delete all memories that match a filter.
    DeleteAll,
}

impl RequestKind {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::DeleteAll => "DELETE_ALL",
        }
    }
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventStatus {
    /// Queued, or being processed.
    Pending,
    /// Done.
    Succeeded,
    /// Will not be done.
    Failed,
}

impl EventStatus {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

/// A memory in an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventResult {
    /// Its id.
    pub id: String,
    /// Whether it was added, changed or deleted.
    pub event: EventName,
    /// Its text.
    pub data: EventData,
    /// The user who owns it.
    pub user_id: Option<String>,
    /// The speaker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor_id: Option<String>,
    /// The role of the message or of the fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
}

/// The text of a memory in an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    /// The text.
    pub memory: String,
}

impl Event {
    /// The event of a request that starts now. `payload` is an object that describes the request.
    pub fn new(event_type: RequestKind, payload: Value) -> Self {
        Self::of_request(uuid::Uuid::new_v4().to_string(), event_type, payload, Timestamp::now())
    }

    /// The payload of a request to add memories.
    pub fn describe_add(scope: &Scope, app_id: Option<&str>, infer: bool) -> Value {
        json!({
            "user_id": scope.user_id,
            "agent_id": scope.agent_id,
            "app_id": app_id,
            "run_id": scope.run_id,
            "infer": infer,
        })
    }

    pub(crate) fn of_request(id: String, event_type: RequestKind, payload: Value, received: Timestamp) -> Self {
        let payload = match payload {
            Value::Object(payload) => payload,
            _ => Map::new(),
        };
        Self {
            id,
            event_type,
            status: EventStatus::Pending,
            payload,
            metadata: Map::new(),
            results: Vec::new(),
            latency: 0.0,
            created_at: received,
            updated_at: received,
            started_at: received,
            completed_at: None,
            error: None,
            not_learnt: Vec::new(),
            job: None,
        }
    }

    /// The event of a request that succeeded now.
    #[must_use]
    pub fn succeeded(mut self, results: Vec<EventResult>) -> Self {
        self.succeed(results);
        self
    }

    /// Records the end of the request. Its messages are not kept.
    pub(crate) fn succeed(&mut self, results: Vec<EventResult>) {
        self.results = results;
        self.error = None;
        self.not_learnt = self.job.as_mut().map(|job| std::mem::take(&mut job.not_learnt)).unwrap_or_default();
        self.end(EventStatus::Succeeded);
    }

    /// Records that the request will not be done. Its messages are not kept.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.error = Some(reason.to_owned());
        self.end(EventStatus::Failed);
    }

    /// Records that the request is parked: it will not be done unless somebody resumes it. Its job is kept.
    pub(crate) fn park(&mut self, reason: &str) {
        let job = self.job.take();
        self.fail(reason);
        self.job = job;
    }

    /// Makes a parked request pending again, with new attempts.
    pub(crate) fn resume(&mut self) {
        self.status = EventStatus::Pending;
        self.error = Some("it is queued".to_owned());
        self.updated_at = Timestamp::now();
        self.completed_at = None;
        self.latency = 0.0;
        if let Some(job) = &mut self.job {
            (job.attempts, job.refusals) = (0, Some(0));
        }
    }

    /// Whether the request is parked: its status is [`EventStatus::Failed`], and it is kept with its messages.
    pub fn is_parked(&self) -> bool {
        self.status == EventStatus::Failed && self.job.is_some()
    }

    /// The last failure of a pending or parked request, with the message of the model's service: for operators only.
    pub fn failure_detail(&self) -> Option<&str> {
        self.job.as_ref()?.failure.as_ref().map(|failure| failure.detail.as_str())
    }

    fn end(&mut self, status: EventStatus) {
        let now = Timestamp::now();
        self.status = status;
        self.job = None;
        self.updated_at = now;
        self.completed_at = Some(now);
        self.latency = (now.duration_since(self.started_at).as_secs_f64() * 1e6).round() / 1e3;
    }

    /// The memories that were added, if the request succeeded.
    pub fn added(&self) -> Option<Vec<AddedMemory>> {
        let added = |result: &EventResult| {
            Some(AddedMemory {
                id: result.id.parse().ok()?,
                memory: result.data.memory.clone(),
                actor_id: result.actor_id.clone(),
                role: result.role.clone().unwrap_or_default(),
                sources: Vec::new(),
            })
        };
        (self.status == EventStatus::Succeeded).then(|| self.results.iter().filter_map(added).collect())
    }
}

impl EventResult {
    /// A memory that was changed or deleted.
    pub fn new(kind: EventKind, memory: &Memory) -> Self {
        Self {
            id: memory.id.to_string(),
            event: kind.into(),
            data: EventData { memory: memory.payload.text().to_owned() },
            user_id: memory.payload.scope().user_id,
            actor_id: None,
            role: None,
        }
    }

    /// The memories that were added for one owner.
    pub fn added(added: &[AddedMemory], owner: Option<&str>) -> Vec<Self> {
        let result = |added: &AddedMemory| Self {
            id: added.id.to_string(),
            event: EventKind::Add.into(),
            data: EventData { memory: added.memory.clone() },
            user_id: owner.map(str::to_owned),
            actor_id: added.actor_id.clone(),
            role: Some(added.role.clone()),
        };
        added.iter().map(result).collect()
    }
}
