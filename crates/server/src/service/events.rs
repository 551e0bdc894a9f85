//! Events of the hosted platform: the record of a request that adds, changes or deletes memories, and of its outcome.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use mnemon_engine::AddedMemory;
use mnemon_store::{
    Collection, Document, DocumentStore, Durability, EventKind, Memory, PageRequest, Scope, StoreError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::documents::readable;

pub(super) const KIND: &str = "event";
/// Events that are kept.
const MAX_EVENTS: usize = 100_000;
/// One in this many saves also removes the oldest events.
const TRIM_INTERVAL: u32 = 1000;

const PENDING: &str = "PENDING";
const SUCCEEDED: &str = "SUCCEEDED";
const FAILED: &str = "FAILED";

/// A request that adds, changes or deletes memories, and its outcome.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Event {
    id: String,
    /// `ADD`, `UPDATE`, `DELETE` or `DELETE_ALL`.
    event_type: String,
    /// `SUCCEEDED`: done. `PENDING`: queued until a model is available; `error` gives the reason. `FAILED`: will not be
    /// done.
    status: String,
    /// The request.
    #[schema(value_type = Object)]
    payload: Map<String, Value>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// The memories that were added, changed or deleted.
    results: Vec<EventResult>,
    /// Duration in milliseconds.
    latency: f64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    error: Option<String>,
}

/// A memory in an event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventResult {
    id: String,
    /// `ADD`, `UPDATE` or `DELETE`.
    event: String,
    data: EventData,
    user_id: Option<String>,
}

/// The text of a memory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventData {
    memory: String,
}

fn events(documents: Arc<dyn DocumentStore>) -> Collection<Event> {
    Collection::new(documents, KIND)
}

impl Event {
    /// An event by its id. Blocks.
    pub(crate) fn find(documents: Arc<dyn DocumentStore>, id: &str) -> Result<Option<Document<Self>>, StoreError> {
        events(documents).get(id)
    }

    /// A page of events, newest first, and how many there are: one user's, or all. An event that can't be read is logged and
    /// left out. Blocks.
    pub(crate) fn list(
        documents: Arc<dyn DocumentStore>,
        user: Option<&str>,
        page: &PageRequest,
    ) -> Result<(usize, Vec<Self>), StoreError> {
        let found = events(documents).scan(user, page)?;
        Ok((found.total, readable(found.items).map(|document| document.body).collect()))
    }

    /// Whether its status is final.
    pub(crate) fn is_finished(&self) -> bool {
        self.status != PENDING
    }

    /// Ids and texts of the memories, if it succeeded.
    pub(crate) fn stored_memories(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let memories = self.results.iter().map(|result| (result.id.as_str(), result.data.memory.as_str()));
        (self.status == SUCCEEDED).then_some(memories)
    }
}

impl EventResult {
    /// A memory that was changed or deleted.
    pub(crate) fn new(kind: EventKind, memory: &Memory) -> Self {
        Self {
            id: memory.id.to_string(),
            event: kind.as_str().to_owned(),
            data: EventData { memory: memory.payload.text().to_owned() },
            user_id: memory.payload.scope().user_id,
        }
    }

    /// The memories that were added for one owner.
    pub(crate) fn added(added: &[AddedMemory], owner: Option<&str>) -> Vec<Self> {
        let result = |added: &AddedMemory| Self {
            id: added.id.to_string(),
            event: EventKind::Add.as_str().to_owned(),
            data: EventData { memory: added.memory.clone() },
            user_id: owner.map(str::to_owned),
        };
        added.iter().map(result).collect()
    }
}

/// An event from the start of the request until it is saved.
pub(crate) struct EventDraft {
    event_type: &'static str,
    payload: Value,
    started_at: Timestamp,
    clock: Instant,
}

impl EventDraft {
    /// Starts an event of this type; `payload` describes the request.
    pub(crate) fn new(event_type: &'static str, payload: Value) -> Self {
        Self { event_type, payload, started_at: Timestamp::now(), clock: Instant::now() }
    }

    /// Starts the event of an add.
    pub(crate) fn of_add(scope: &Scope, metadata: &Map<String, Value>, infer: bool) -> Self {
        let payload = json!({
            "user_id": scope.user_id,
            "agent_id": scope.agent_id,
            "app_id": metadata.get("app_id"),
            "run_id": scope.run_id,
            "infer": infer,
        });
        Self::new("ADD", payload)
    }

    /// Saves the event as succeeded and returns its id. The work is already done, so a failure is logged and not
    /// returned. Blocks.
    pub(crate) fn save(self, documents: &dyn DocumentStore, owner: Option<&str>, results: Vec<EventResult>) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let now = Timestamp::now();
        let event = Event { status: SUCCEEDED.to_owned(), results, completed_at: Some(now), ..self.event(&id, now) };
        put(documents, &event, owner);
        id
    }

    /// Saves the event of a queued request as pending, unless a worker has already saved its outcome. Blocks.
    pub(crate) fn save_pending(self, documents: &dyn DocumentStore, id: &str, owner: Option<&str>, reason: &str) {
        let now = Timestamp::now();
        let event = Event { error: Some(reason.to_owned()), ..self.event(id, now) };
        let document = Document::new(KIND, id, json!(event)).owned_by(owner);
        if let Err(error) = documents.put_new(&document) {
            tracing::warn!(%error, event_id = %id, "could not save an event");
        }
    }

    /// Saves the new status of the event with this id; starts from this draft if the event was not saved before.
    /// Blocks.
    pub(crate) fn update_status(
        self,
        documents: &dyn DocumentStore,
        id: &str,
        owner: Option<&str>,
        status: EventStatus,
    ) {
        let now = Timestamp::now();
        let saved = documents.document(KIND, id).ok().flatten();
        let saved = saved.and_then(|document| serde_json::from_value::<Event>(document.body).ok());
        let mut event = saved.unwrap_or_else(|| self.event(id, now));
        event.updated_at = now;
        match status {
            EventStatus::Succeeded(results) => {
                event.status = SUCCEEDED.to_owned();
                event.results = results;
                event.error = None;
                event.completed_at = Some(now);
                event.latency = (now.duration_since(event.started_at).as_secs_f64() * 1e6).round() / 1e3;
            }
            EventStatus::Pending(reason) => event.error = Some(reason),
            EventStatus::Failed(reason) => {
                event.status = FAILED.to_owned();
                event.error = Some(reason);
                event.completed_at = Some(now);
            }
        }
        put(documents, &event, owner);
    }

    fn event(self, id: &str, now: Timestamp) -> Event {
        let payload = match self.payload {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Event {
            id: id.to_owned(),
            event_type: self.event_type.to_owned(),
            status: PENDING.to_owned(),
            payload,
            metadata: Map::new(),
            results: Vec::new(),
            latency: (self.clock.elapsed().as_secs_f64() * 1e6).round() / 1e3,
            created_at: self.started_at,
            updated_at: now,
            started_at: self.started_at,
            completed_at: None,
            error: None,
        }
    }
}

/// The status of a queued request.
pub(crate) enum EventStatus {
    /// These memories were stored.
    Succeeded(Vec<EventResult>),
    /// It stays in the queue, for this reason.
    Pending(String),
    /// It will not be done, for this reason.
    Failed(String),
}

/// Not synced to disk: jobs and memories are stored durably elsewhere, so a power failure may only lose an event's
/// details.
fn put(documents: &dyn DocumentStore, event: &Event, owner: Option<&str>) {
    let document = Document::new(KIND, event.id.as_str(), json!(event)).owned_by(owner);
    let written = documents.put(&[document], Durability::Written);
    let trimmed = match rand::random_range(0..TRIM_INTERVAL) {
        0 => documents.trim(KIND, MAX_EVENTS).map(drop),
        _ => Ok(()),
    };
    if let Err(error) = written.and(trimmed) {
        tracing::warn!(%error, event_id = %event.id, "could not save an event");
    }
}
