//! Reading, changing and deleting one memory.

use axum::extract::State;
use jiff::civil::Date;
use mnemon_engine::{MetadataMode, UpdateRequest};
use mnemon_store::{HistoryEvent, Memory, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::dto::{MemoryDoc, is_old_timestamp, linked_json, memory_json, select_fields};
use crate::api::dto::{optional_timestamp, tag};
use crate::auth::{Reader, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Path, Query, double_day, memory_id};
use crate::service::{AppState, visible_history};

/// Get a memory
#[utoipa::path(get, path = "/v1/memories/{memory_id}", tag = tag::PLATFORM, params(("memory_id" = String, Path)),
    responses((status = 200, body = MemoryDoc)))]
pub(super) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Map<String, Value>>, Problem> {
    let memory = app.get(&caller, memory_id(&id)?).await?;
    let replacements = app.replacements(&caller, vec![memory.id]).await?;
    Ok(Json(linked_json(&memory, &replacements)))
}

/// Request of `PUT /v1/memories/{memory_id}`; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformUpdate)]
pub(super) struct UpdateBody {
    /// The new text.
    text: Option<String>,
    /// The new metadata; replaces all of the old metadata. The fields beside it stay.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The time of the message: unix seconds, or RFC 3339.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// The new last day on which the memory is shown, `YYYY-MM-DD`, a day of UTC; null removes it.
    #[serde(default, deserialize_with = "double_day")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Option<Date>>,
}

impl UpdateBody {
    fn change(self) -> Result<Change, Problem> {
        Ok(Change {
            text: self.text,
            metadata: self.metadata,
            timestamp: optional_timestamp(self.timestamp.as_ref())?,
            expiration_date: self.expiration_date,
        })
    }
}

/// A change of one memory.
#[derive(Default)]
pub(super) struct Change {
    pub(super) text: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) timestamp: Option<jiff::Timestamp>,
    pub(super) expiration_date: Option<Option<Date>>,
}

impl Change {
    /// The change for the engine. A timestamp that an older version stored among the metadata stays until there is a new one.
    pub(super) fn into_request(self) -> UpdateRequest {
        let (metadata, stays): (_, fn(&Memory, &str, &Value) -> bool) = match (self.metadata, self.timestamp) {
            (None, Some(_)) => (Some(Map::new()), |memory, key, value| !is_old_timestamp(memory, key, value)),
            (metadata, Some(_)) => (metadata, |_, _, _| false),
            (metadata, None) => (metadata, is_old_timestamp),
        };
        UpdateRequest {
            text: self.text,
            metadata,
            metadata_mode: MetadataMode::Replace(stays),
            event_time: self.timestamp,
            expiration_date: self.expiration_date,
        }
    }
}

/// Change a memory
///
/// A write-only key gets only the id.
#[utoipa::path(put, path = "/v1/memories/{memory_id}", tag = tag::PLATFORM, params(("memory_id" = String, Path)),
    request_body = UpdateBody, responses((status = 200, body = MemoryDoc), (status = 502, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Map<String, Value>>, Problem> {
    let id = memory_id(&id)?;
    let change = body.change()?;
    let id_only = (!caller.access.read).then(|| ["id".to_owned()]);
    let updated = app.update_with_event(caller, id, change.into_request()).await?;
    Ok(Json(select_fields(memory_json(&updated), id_only.as_ref().map(<[String; 1]>::as_slice))))
}

/// Query of `DELETE /v1/memories/{memory_id}`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Whether to delete the memories that it links to as well.
    delete_linked: Option<bool>,
}

/// Response of `DELETE /v1/memories/{memory_id}`.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformDeleted)]
pub(super) struct Deleted {
    message: &'static str,
    /// Number of linked memories that were deleted.
    cascade_count: usize,
    /// The id of the event, see /v1/event/{event_id}.
    event_id: String,
}

/// Delete a memory
#[utoipa::path(delete, path = "/v1/memories/{memory_id}", tag = tag::PLATFORM,
    params(("memory_id" = String, Path), DeleteQuery), responses((status = 200, body = Deleted)))]
pub(super) async fn delete(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, Problem> {
    let linked = query.delete_linked.unwrap_or(false);
    let (cascade_count, event_id) = app.delete_with_event(caller, memory_id(&id)?, linked).await?;
    Ok(Json(Deleted { message: "Memory deleted successfully!", cascade_count, event_id }))
}

/// An event in the history of a memory.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformHistory)]
pub(super) struct HistoryRow {
    id: String,
    memory_id: String,
    /// The text of the memory, as one message.
    input: Vec<Input>,
    old_memory: Option<String>,
    new_memory: Option<String>,
    user_id: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    /// The run or conversation.
    session_id: Option<String>,
    categories: Vec<String>,
    /// `ADD`, `UPDATE` or `DELETE`.
    event: String,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformInput)]
struct Input {
    #[schema(value_type = String)]
    role: Role,
    content: String,
}

impl HistoryRow {
    /// App, categories and metadata are the current ones, because the history contains only texts.
    fn new(event: HistoryEvent, current: Option<&Map<String, Value>>) -> Self {
        let field = |key: &str| current.and_then(|current| current.get(key)).cloned().unwrap_or_default();
        let content = event.new_memory.as_deref().or(event.old_memory.as_deref()).unwrap_or_default().to_owned();
        Self {
            input: vec![Input { role: event.role.unwrap_or_default(), content }],
            id: event.id,
            memory_id: event.memory_id,
            old_memory: event.old_memory,
            new_memory: event.new_memory,
            user_id: event.scope.user_id,
            agent_id: event.scope.agent_id,
            app_id: field("app_id").as_str().map(str::to_owned),
            session_id: event.scope.run_id,
            categories: serde_json::from_value(field("categories")).unwrap_or_default(),
            event: event.event.into(),
            metadata: match field("metadata") {
                Value::Object(metadata) => metadata,
                _ => Map::new(),
            },
            created_at: event.created_at,
            updated_at: event.updated_at,
        }
    }
}

/// Get the history of a memory, oldest first
///
/// Empty if the id is unknown, or if the memory is not the caller's.
#[utoipa::path(get, path = "/v1/memories/{memory_id}/history", tag = tag::PLATFORM,
    params(("memory_id" = String, Path)), responses((status = 200, body = Vec<HistoryRow>)))]
pub(super) async fn history(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Vec<HistoryRow>>, Problem> {
    let id = memory_id(&id)?;
    let rows = app.with_engine(move |engine| {
        let events = visible_history(engine, &caller, id)?;
        let memory = engine.store().get(&[id])?.pop().flatten();
        let current = memory.filter(|memory| caller.owns(&memory.payload.scope())).map(|memory| memory_json(&memory));
        Ok(events.into_iter().map(|event| HistoryRow::new(event, current.as_ref())).collect())
    });
    Ok(Json(rows.await?))
}
