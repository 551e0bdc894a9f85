//! Many memories in one request: all are checked first, then they are changed one by one.

use std::collections::HashSet;

use axum::extract::State;
use mnemon_engine::MAX_TEXT_BYTES;
use mnemon_store::{Memory, MemoryId, RESERVED_KEYS};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::TAG;
use super::add::own_metadata;
use super::dto::{IdText, limited};
use super::memory::Change;
use crate::auth::{Caller, Writer};
use crate::error::Problem;
use crate::http::extract::{Body, Json, memory_id};
use crate::service::app::{App, Shared};
use crate::service::events::{Doing, EventResult, result};
use crate::service::memories::may_change;
use crate::service::webhooks::{Happened, HappenedKind};

/// Memories with what they are to become.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchUpdate)]
pub(super) struct UpdateBody {
    /// 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    memories: Vec<OneUpdate>,
}

/// A memory with what it is to become.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchUpdateItem)]
struct OneUpdate {
    #[schema(value_type = String)]
    memory_id: IdText,
    /// The new text.
    text: Option<String>,
    /// Your own keys, in place of all that were there.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Memories.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchDelete)]
pub(super) struct DeleteBody {
    /// 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    memories: Vec<OneDelete>,
}

/// A memory: `{"memory_id": …}`, or its id alone.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchDeleteItem)]
#[serde(untagged)]
enum OneDelete {
    Object {
        #[schema(value_type = String)]
        memory_id: IdText,
    },
    #[schema(value_type = String)]
    Id(IdText),
}

/// What was changed.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformBatchUpdated)]
pub(super) struct Updated {
    message: String,
    /// How many memories.
    updated: usize,
    /// See /v1/event/{event_id}.
    event_id: String,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformBatchDeleted)]
pub(super) struct Deleted {
    message: String,
    /// How many memories.
    deleted: usize,
    /// See /v1/event/{event_id}.
    event_id: String,
}

/// The caller's memories of these ids, in their order; 404 names the first that is not there. Blocks.
fn all_own(app: &App, caller: &Caller, ids: &[MemoryId]) -> Result<Vec<Memory>, Problem> {
    let found = app.engine.store().get(ids)?;
    let own = ids.iter().zip(found).map(|(id, memory)| caller.own(memory.ok_or(Problem::memory_not_found(id))?));
    own.collect()
}

fn read_ids<'a>(ids: impl Iterator<Item = &'a IdText>) -> Result<Vec<MemoryId>, Problem> {
    let ids: Vec<MemoryId> = ids.map(|id| memory_id(&id.text())).collect::<Result<_, _>>()?;
    limited("memories", &ids)?;
    if ids.is_empty() {
        return Err(Problem::bad_request("memories: give at least one"));
    }
    Ok(ids)
}

/// The user all of them belong to, if it is one.
fn common_owner(memories: &[Memory]) -> Option<String> {
    let first = memories.first()?.payload.scope().user_id?;
    memories.iter().all(|memory| memory.payload.scope().user_id.as_ref() == Some(&first)).then_some(first)
}

fn told(memory: &Memory, event: &str) -> EventResult {
    result(memory.id, event, memory.payload.text(), memory.payload.scope().user_id.as_deref())
}

/// What would make the engine refuse a change, found before any is made.
fn check(update: &OneUpdate, memory: &Memory) -> Result<(), Problem> {
    let id = memory.id;
    may_change(memory)?;
    let refused = |fault: &str| Err(Problem::bad_request(format!("memory {id}: {fault}; nothing was changed")));
    match (&update.text, &update.metadata) {
        (None, None) => return refused("give text or metadata"),
        (Some(text), _) if text.trim().is_empty() => return refused("the text is empty"),
        (Some(text), _) if text.len() > MAX_TEXT_BYTES => return refused("the text is too long"),
        _ => {}
    }
    if let Some(metadata) = &update.metadata {
        own_metadata(metadata)?;
        if let Some(key) = metadata.keys().find(|key| *key == "id" || RESERVED_KEYS.contains(&key.as_str())) {
            return refused(&format!("metadata may not hold `{key}`"));
        }
    }
    Ok(())
}

/// Change many memories
///
/// All or none are found; then each is changed by itself.
#[utoipa::path(put, path = "/v1/batch", tag = TAG, request_body = UpdateBody,
    responses((status = 200, body = Updated)))]
pub(super) async fn update(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Updated>, Problem> {
    let ids = read_ids(body.memories.iter().map(|update| &update.memory_id))?;
    let doing = Doing::new("UPDATE", json!({"memories": ids.len()}));
    let (updated, event_id) = app
        .with_webhooks(move |app| {
            let memories = all_own(app, &caller, &ids)?;
            body.memories.iter().zip(&memories).try_for_each(|(update, memory)| check(update, memory))?;
            let mut changed = Vec::with_capacity(ids.len());
            for (update, old) in body.memories.into_iter().zip(&memories) {
                let change = Change { text: update.text, metadata: update.metadata, ..Change::default() };
                changed.push(app.engine.update(old.id, &change.of(old)?)?);
            }
            let results = changed.iter().map(|memory| told(memory, "UPDATE")).collect();
            let event_id = doing.done(app, common_owner(&memories).as_deref(), results);
            let happened = changed.iter().map(|memory| Happened::to(HappenedKind::Update, memory)).collect();
            Ok((happened, (changed.len(), event_id)))
        })
        .await?;
    Ok(Json(Updated { message: format!("Successfully updated {updated} memories"), updated, event_id }))
}

/// Delete many memories
///
/// All or none are found; then each is deleted by itself.
#[utoipa::path(delete, path = "/v1/batch", tag = TAG, request_body = DeleteBody,
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(body): Body<DeleteBody>,
) -> Result<Json<Deleted>, Problem> {
    let mut ids = read_ids(body.memories.iter().map(|one| match one {
        OneDelete::Object { memory_id } | OneDelete::Id(memory_id) => memory_id,
    }))?;
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    let doing = Doing::new("DELETE", json!({"memories": ids.len()}));
    let (deleted, event_id) = app
        .with_webhooks(move |app| {
            let memories = all_own(app, &caller, &ids)?;
            for memory in &memories {
                app.engine.delete(memory.id)?;
            }
            let results = memories.iter().map(|memory| told(memory, "DELETE")).collect();
            let event_id = doing.done(app, common_owner(&memories).as_deref(), results);
            let happened = memories.iter().map(|memory| Happened::to(HappenedKind::Delete, memory)).collect();
            Ok((happened, (memories.len(), event_id)))
        })
        .await?;
    Ok(Json(Deleted { message: format!("Successfully deleted {deleted} memories"), deleted, event_id }))
}
