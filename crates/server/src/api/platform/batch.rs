//! Changes of many memories in one request.

use std::collections::HashSet;

use axum::extract::State;
use mnemon_store::MemoryId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::{IdText, check_length};
use super::memory::Change;
use crate::api::dto::tag;
use crate::auth::Writer;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Object, memory_id};
use crate::service::AppState;

/// Request of `PUT /v1/batch`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchUpdate)]
pub(super) struct UpdateBody {
    /// 1 to 1000 memories.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<OneUpdate>)]
    memories: Vec<Object<OneUpdate>>,
}

/// A memory to change; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchUpdateItem)]
struct OneUpdate {
    #[schema(value_type = String)]
    memory_id: IdText,
    /// The new text.
    text: Option<String>,
    /// The new metadata; replaces all of the old metadata. The fields beside it stay.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Request of `DELETE /v1/batch`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchDelete)]
pub(super) struct DeleteBody {
    /// 1 to 1000 memories.
    #[schema(min_items = 1, max_items = 1000)]
    memories: Vec<OneDelete>,
}

/// A memory: `{"memory_id": …}`, or only its id.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchDeleteItem)]
#[serde(untagged)]
enum OneDelete {
    #[schema(value_type = NamedMemory)]
    Object(Object<NamedMemory>),
    #[schema(value_type = String)]
    Id(IdText),
}

/// A memory.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformBatchDeleteMemory)]
struct NamedMemory {
    #[schema(value_type = String)]
    memory_id: IdText,
}

/// Response of `PUT /v1/batch`.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformBatchUpdated)]
pub(super) struct Updated {
    message: String,
    /// Number of memories.
    updated: usize,
    /// The id of the event, see /v1/event/{event_id}.
    event_id: String,
}

/// Response of `DELETE /v1/batch`.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformBatchDeleted)]
pub(super) struct Deleted {
    message: String,
    /// Number of memories.
    deleted: usize,
    /// The id of the event, see /v1/event/{event_id}.
    event_id: String,
}

/// The ids of 1 to 1000 memories.
fn read_ids<'a>(ids: impl Iterator<Item = &'a IdText>) -> Result<Vec<MemoryId>, Problem> {
    let ids: Vec<MemoryId> = ids.map(|id| memory_id(&id.text())).collect::<Result<_, _>>()?;
    check_length("memories", &ids)?;
    if ids.is_empty() {
        return Err(Problem::bad_request("memories: must contain at least one memory"));
    }
    Ok(ids)
}

/// Change many memories
///
/// All changes are made together: if one of the memories does not exist or one of the changes is invalid, nothing is
/// changed. Several changes of one memory are applied in their order.
#[utoipa::path(put, path = "/v1/batch", tag = tag::PLATFORM, request_body = UpdateBody,
    responses((status = 200, body = Updated), (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn update(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Updated>, Problem> {
    let ids = read_ids(body.memories.iter().map(|Object(update)| &update.memory_id))?;
    let change = |Object(update): Object<OneUpdate>| {
        Change { text: update.text, metadata: update.metadata, ..Change::default() }.into_request()
    };
    let changes = ids.into_iter().zip(body.memories.into_iter().map(change)).collect();
    let (updated, event_id) = app.update_batch(caller, changes).await?;
    Ok(Json(Updated { message: format!("Successfully updated {updated} memories"), updated, event_id }))
}

/// Delete many memories
///
/// All are deleted together: if one of the memories does not exist, nothing is deleted.
#[utoipa::path(delete, path = "/v1/batch", tag = tag::PLATFORM, request_body = DeleteBody,
    responses((status = 200, body = Deleted), (status = 404, body = ErrorBody)))]
pub(super) async fn delete(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(body): Body<DeleteBody>,
) -> Result<Json<Deleted>, Problem> {
    let mut ids = read_ids(body.memories.iter().map(|one| match one {
        OneDelete::Object(Object(NamedMemory { memory_id })) | OneDelete::Id(memory_id) => memory_id,
    }))?;
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    let (deleted, event_id) = app.delete_batch(caller, ids).await?;
    Ok(Json(Deleted { message: format!("Successfully deleted {deleted} memories"), deleted, event_id }))
}
