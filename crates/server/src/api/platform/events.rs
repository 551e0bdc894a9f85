//! Events: requests that add, change or delete memories, and their outcomes.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_store::PageRequest;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::{PageNumber, PageQuery, Paged, RequestUrl};
use crate::api::dto::{NotLearnt, tag};
use crate::auth::{Caller, Reader};
use crate::error::Problem;
use crate::http::extract::{Json, Path, Query};
use crate::service::AppState;

/// A request that adds, changes or deletes memories, and its outcome.
#[derive(Serialize, ToSchema)]
pub(super) struct Event {
    id: String,
    /// `ADD`, `UPDATE`, `DELETE` or `DELETE_ALL`.
    #[schema(value_type = String)]
    event_type: &'static str,
    /// `SUCCEEDED`: done. `PENDING`: queued until a model is available; `error` gives the reason. `FAILED`: will not be
    /// done, unless it is parked.
    #[schema(value_type = String)]
    status: &'static str,
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
    /// The last error with the message of the model's service; only with an admin's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<String>,
    /// Whether the request is parked: `FAILED`, and kept with its messages; see /v1/parked. Absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    parked: bool,
    /// Messages of the request that nothing was learnt from, because the language model refuses them. Absent if there are
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_learnt: Vec<NotLearnt>,
}

/// A memory in an event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventResult {
    id: String,
    /// `ADD`, `UPDATE` or `DELETE`.
    event: String,
    data: EventData,
    user_id: Option<String>,
}

/// The text of a memory.
#[derive(Serialize, ToSchema)]
pub(super) struct EventData {
    memory: String,
}

impl Event {
    /// An event as this caller may see it.
    fn of(event: mnemon_engine::Event, caller: &Caller) -> Self {
        Self {
            error_detail: event.failure_detail().filter(|_| caller.is_admin()).map(str::to_owned),
            parked: event.is_parked(),
            not_learnt: event.not_learnt.into_iter().map(NotLearnt::from).collect(),
            id: event.id,
            event_type: event.event_type.as_str(),
            status: event.status.as_str(),
            payload: event.payload,
            metadata: event.metadata,
            results: event.results.into_iter().map(EventResult::from).collect(),
            latency: event.latency,
            created_at: event.created_at,
            updated_at: event.updated_at,
            started_at: event.started_at,
            completed_at: event.completed_at,
            error: event.error,
        }
    }
}

impl From<mnemon_engine::EventResult> for EventResult {
    fn from(result: mnemon_engine::EventResult) -> Self {
        let data = EventData { memory: result.data.memory };
        Self { id: result.id, event: result.event.into(), data, user_id: result.user_id }
    }
}

const DEFAULT_PAGE_SIZE: usize = 100;

/// List events, newest first
///
/// A user's key sees the events of its user. The last 100,000 events are kept.
#[utoipa::path(get, path = "/v1/events", tag = tag::PLATFORM, params(PageQuery),
    responses((status = 200, body = Paged<Event>)))]
pub(super) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
) -> Result<Json<Paged<Event>>, Problem> {
    let page = PageNumber::new(query.page, query.page_size, DEFAULT_PAGE_SIZE)?;
    let request = PageRequest { offset: page.offset(), limit: page.size, ..PageRequest::default() };
    let stored = app.events.clone();
    let owners = caller.forms();
    let (count, events) = app.blocking(move || stored.list(owners.as_deref(), &request)).await??;
    Ok(Json(url.page(page, count, events.into_iter().map(|event| Event::of(event, &caller)).collect())))
}

/// Get an event
#[utoipa::path(get, path = "/v1/event/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Event>, Problem> {
    let stored = app.events.clone();
    let of_caller = caller.clone();
    let found = app.blocking(move || stored.find_visible(&id, |owner| of_caller.is_user(owner))).await??;
    found.map(|event| Json(Event::of(event, &caller))).ok_or_else(|| Problem::not_found("This event does not exist."))
}

/// Get an event (alternative path)
#[utoipa::path(get, path = "/v1/events/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get_plural(
    state: State<AppState>,
    reader: Reader,
    path: Path<String>,
) -> Result<Json<Event>, Problem> {
    get(state, reader, path).await
}
