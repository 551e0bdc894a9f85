//! Events of the hosted platform: what became of a request. An add that waits for a model is PENDING until it is done; any other
//! request is over when it is answered.

use std::time::Instant;

use axum::extract::State;
use jiff::Timestamp;
use mnemon_store::{Document, Durability, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::TAG;
use super::dto::{Here, PageOf, PageQuery, Paged};
use crate::app::{App, Shared};
use crate::auth::Reader;
use crate::body::{Json, Path, Query};
use crate::error::Problem;

const KIND: &str = "event";
/// Events kept.
const KEPT: usize = 100_000;
/// Events a page, if nothing else is asked for.
const PAGE: usize = 100;

/// What became of a request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Event {
    id: String,
    /// ADD, UPDATE, DELETE or DELETE_ALL.
    event_type: String,
    /// SUCCEEDED: it is done. PENDING: it waits for a model, and `error` says why. FAILED: it will not be done.
    status: String,
    /// What was asked.
    #[schema(value_type = Object)]
    payload: Map<String, Value>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// The memories it was about.
    results: Vec<EventResult>,
    /// How long it took, in milliseconds.
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

/// A memory of an event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventResult {
    pub(crate) id: String,
    /// ADD, UPDATE or DELETE.
    pub(crate) event: String,
    pub(crate) data: EventData,
    pub(crate) user_id: Option<String>,
}

/// A memory's text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventData {
    pub(crate) memory: String,
}

impl Event {
    /// Whether nothing more will become of it.
    pub(crate) fn is_over(&self) -> bool {
        self.status != PENDING
    }

    /// The memories that came of it, if it succeeded.
    pub(crate) fn added(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let memories = self.results.iter().map(|result| (result.id.as_str(), result.data.memory.as_str()));
        (self.status == SUCCEEDED).then_some(memories)
    }
}

const PENDING: &str = "PENDING";
const SUCCEEDED: &str = "SUCCEEDED";

/// What is being done, from its beginning.
pub(crate) struct Doing {
    event_type: &'static str,
    payload: Value,
    started_at: Timestamp,
    clock: Instant,
}

impl Doing {
    pub(crate) fn new(event_type: &'static str, payload: Value) -> Self {
        Self { event_type, payload, started_at: Timestamp::now(), clock: Instant::now() }
    }

    /// Writes the event down, and returns its id. Blocks. What was done stays done if this fails.
    pub(crate) fn done(self, app: &App, owner: Option<&str>, results: Vec<EventResult>) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.done_as(app, &id, owner, results);
        id
    }

    /// The same for what has a name already.
    pub(crate) fn done_as(self, app: &App, id: &str, owner: Option<&str>, results: Vec<EventResult>) {
        let now = Timestamp::now();
        let event = Event { status: SUCCEEDED.to_owned(), results, completed_at: Some(now), ..self.event(id, now) };
        write_down(app, &event, owner, Durability::Written);
    }

    /// Writes down that it waits, and why.
    pub(crate) fn waits(self, app: &App, id: &str, owner: Option<&str>, reason: &str) {
        let now = Timestamp::now();
        let event = Event { error: Some(reason.to_owned()), ..self.event(id, now) };
        let document = Document::new(KIND, id, json!(event)).of(owner);
        // Who takes it up may have been faster.
        if let Err(error) = app.ledger.put_new(&document) {
            tracing::warn!(%error, event_id = %id, "an event could not be written down");
        }
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

/// Blocks.
fn write_down(app: &App, event: &Event, owner: Option<&str>, durability: Durability) {
    let document = Document::new(KIND, event.id.as_str(), json!(event)).of(owner);
    let written = app.ledger.put(&[document], durability);
    // Now and then is enough.
    let trimmed = if rand::random_range(0..1000) == 0 { app.ledger.trim(KIND, KEPT).map(drop) } else { Ok(()) };
    if let Err(error) = written.and(trimmed) {
        tracing::warn!(%error, event_id = %event.id, "an event could not be written down");
    }
}

/// Writes down what became of an event that waited: it succeeded with these results, or it waits on or failed for a
/// reason. Blocks.
pub(crate) fn became(app: &App, id: &str, owner: Option<&str>, doing: Doing, end: End) {
    let now = Timestamp::now();
    let found = app.ledger.document(KIND, id).ok().flatten();
    let known: Option<Event> = found.and_then(|document| serde_json::from_value(document.body).ok());
    let mut event = known.unwrap_or_else(|| doing.event(id, now));
    event.updated_at = now;
    match end {
        End::Succeeded(results) => {
            event.status = SUCCEEDED.to_owned();
            event.results = results;
            event.error = None;
            event.completed_at = Some(now);
            event.latency = (now.duration_since(event.started_at).as_secs_f64() * 1e6).round() / 1e3;
        }
        End::Waits(reason) => event.error = Some(reason),
        End::Failed(reason) => {
            event.status = "FAILED".to_owned();
            event.error = Some(reason);
            event.completed_at = Some(now);
        }
    }
    // What waits is in the queue, and what is done was stored: an event that is lost in a power cut only tells less.
    write_down(app, &event, owner, Durability::Written);
}

/// What became of an event that waited.
pub(crate) enum End {
    Succeeded(Vec<EventResult>),
    Waits(String),
    Failed(String),
}

/// An event by its id. Blocks.
pub(crate) fn find(app: &App, id: &str) -> Option<Event> {
    serde_json::from_value(app.ledger.document(KIND, id).ok()??.body).ok()
}

/// A memory in an event.
pub(crate) fn result(id: impl ToString, event: &str, memory: &str, user: Option<&str>) -> EventResult {
    EventResult {
        id: id.to_string(),
        event: event.to_owned(),
        data: EventData { memory: memory.to_owned() },
        user_id: user.map(str::to_owned),
    }
}

/// What became of requests, newest first
///
/// A user's key sees the events of its own user. The last 100,000 are kept.
#[utoipa::path(get, path = "/v1/events", tag = TAG, params(PageQuery),
    responses((status = 200, body = Paged<Event>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<PageQuery>,
) -> Result<Json<Paged<Event>>, Problem> {
    let page = PageOf::new(query.page, query.page_size, PAGE)?;
    let request = PageRequest { offset: page.offset(), limit: page.size, ..PageRequest::default() };
    let found = app.ledger(move |ledger| ledger.documents(KIND, caller.user.as_deref(), &request)).await?;
    let events = found.items.into_iter().filter_map(|document| serde_json::from_value(document.body).ok()).collect();
    Ok(Json(here.page(page, found.total, events)))
}

/// What became of a request
#[utoipa::path(get, path = "/v1/event/{event_id}", tag = TAG, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Event>, Problem> {
    let found = app.ledger(move |ledger| ledger.document(KIND, &id)).await?;
    let own = found.filter(|document| caller.is_admin() || document.owner == caller.user);
    let event = own.and_then(|document| serde_json::from_value(document.body).ok());
    event.map(Json).ok_or_else(|| Problem::not_found("There is no such event."))
}

/// What became of a request, under its other address
#[utoipa::path(get, path = "/v1/events/{event_id}", tag = TAG, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get_plural(
    state: State<Shared>,
    reader: Reader,
    path: Path<String>,
) -> Result<Json<Event>, Problem> {
    get(state, reader, path).await
}
