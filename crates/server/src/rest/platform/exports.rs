//! Exports: what filters match now, kept to be fetched later.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use mnemon_engine::ListRequest;
use mnemon_store::filter::ScopeKey;
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::TAG;
use super::ask::Ask;
use super::dto::{Here, MemoryDoc, PageOf, PageQuery, Paged, memory};
use super::filters::ENTITY_KEYS;
use crate::app::Shared;
use crate::auth::{Caller, Reader, Writer};
use crate::body::{Body, Json, Query, some};
use crate::error::Problem;

const KIND: &str = "export";
/// Memories of one export.
const MAX_MEMORIES: usize = 10_000;
/// Exports kept.
const KEPT: usize = 100;
/// Those among which the newest with the same filters is looked for.
const STRETCH: usize = 10;

/// What to export.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformExport)]
pub(super) struct ExportBody {
    /// Kept with the export. To fill it would need a language model.
    #[schema(value_type = Object)]
    schema: Value,
    /// Whose memories, and which of them, as for searching. A user's key exports its own user's.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Kept with the export.
    export_instructions: Option<String>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<Value>,
    run_id: Option<Value>,
}

/// An export that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformExportMade)]
pub(super) struct ExportMade {
    message: &'static str,
    /// Give this as `memory_export_id`.
    id: String,
    /// How many memories it holds.
    memories: usize,
}

/// An export.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PlatformExportObject)]
pub(super) struct Export {
    id: String,
    #[schema(value_type = Vec<MemoryDoc>)]
    memories: Vec<Map<String, Value>>,
    /// The schema as it was given.
    schema: Value,
    /// What was asked for.
    #[schema(value_type = Object)]
    filters: Map<String, Value>,
    export_instructions: Option<String>,
    /// SUCCEEDED
    status: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An export without its memories.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformExportRow)]
pub(super) struct ExportRow {
    id: String,
    #[schema(value_type = Object)]
    filters: Map<String, Value>,
    /// How many memories it holds.
    memories: usize,
    /// SUCCEEDED
    status: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Filters with the ids that stand beside them, in one form.
fn asked(filters: Option<&Value>, ids: &[Option<Value>; 4]) -> Map<String, Value> {
    let mut asked = filters.and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, id) in ENTITY_KEYS.iter().zip(ids) {
        if let Some(id) = id {
            asked.entry(*key).or_insert_with(|| id.clone());
        }
    }
    asked
}

/// Export memories
///
/// What the filters match now: at most 10,000 memories.
#[utoipa::path(post, path = "/v1/exports", tag = TAG, request_body = ExportBody,
    responses((status = 201, body = ExportMade)))]
pub(super) async fn create(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(body): Body<ExportBody>,
) -> Result<(StatusCode, Json<ExportMade>), Problem> {
    if !caller.access.read {
        return Err(Problem::missing_scope("read"));
    }
    if !body.schema.is_object() && !body.schema.is_string() {
        return Err(Problem::bad_request("schema: give a JSON schema, as an object or as text"));
    }
    let ids = [body.user_id, body.agent_id, body.app_id, body.run_id];
    let filters = asked(body.filters.as_ref(), &ids);
    let ask = Ask { filters: body.filters, ids, ..Ask::default() };
    let gated = ask.gate(&caller)?;
    // A user's documents go when the user goes.
    let pinned = gated.filter.as_ref().and_then(|filter| filter.scope().pinned(ScopeKey::User)).map(str::to_owned);
    let owner = caller.user.clone().or(pinned);
    let schema = body.schema;
    let export_instructions = body.export_instructions;
    let shared = app.clone();
    let made = app.blocking(move || {
        let mut request = ListRequest { filter: gated.filter, limit: 1000, ..ListRequest::default() };
        let mut memories = Vec::new();
        loop {
            let page = shared.engine.list(&request)?;
            if gated.ids.is_none() && page.total > MAX_MEMORIES {
                return Err(Problem::bad_request(format!(
                    "the filters match {} memories, and an export holds {MAX_MEMORIES}: narrow them, e.g. by created_at",
                    page.total
                )));
            }
            let meant = page.items.iter().filter(|found| gated.ids.as_ref().is_none_or(|ids| ids.contains(&found.id)));
            memories.extend(meant.map(memory));
            request.cursor = page.next;
            if request.cursor.is_none() {
                break;
            }
        }
        let count = memories.len();
        let id = uuid::Uuid::new_v4().to_string();
        let export = Export {
            id: id.clone(),
            memories,
            schema,
            filters,
            export_instructions,
            status: "SUCCEEDED".to_owned(),
            created_at: Timestamp::now(),
        };
        let document = Document::new(KIND, id.as_str(), json!(export)).of(owner.as_deref());
        shared.ledger.put(&[document], Durability::Synced)?;
        keep_the_last(&*shared.ledger, owner.as_deref())?;
        Ok((id, count))
    });
    let (id, memories) = made.await??;
    Ok((StatusCode::CREATED, Json(ExportMade { message: "Memory export made", id, memories })))
}

/// Which export.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformExportWanted)]
pub(super) struct WantedBody {
    /// The one of this id.
    memory_export_id: Option<String>,
    /// The newest that was made with these filters; without either the newest of all.
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<Value>,
    run_id: Option<Value>,
}

/// An export, with its memories
#[utoipa::path(post, path = "/v1/exports/get", tag = TAG, request_body = WantedBody,
    responses((status = 200, body = Export)))]
pub(super) async fn get(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<WantedBody>,
) -> Result<Json<Export>, Problem> {
    let ids = [body.user_id, body.agent_id, body.app_id, body.run_id];
    let filters = asked(body.filters.as_ref(), &ids);
    let found = app.ledger(move |ledger| {
        if let Some(id) = body.memory_export_id {
            return Ok(ledger.document(KIND, &id)?.filter(|found| may_see(&caller, found)));
        }
        let mut request = PageRequest { limit: STRETCH, ..PageRequest::default() };
        loop {
            let page = ledger.documents(KIND, caller.user.as_deref(), &request)?;
            let same = |found: &Document| {
                filters.is_empty() || found.body.get("filters").and_then(Value::as_object) == Some(&filters)
            };
            if let Some(found) = page.items.into_iter().find(same) {
                return Ok(Some(found));
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(None);
            }
        }
    });
    let export = found.await?.and_then(|document| serde_json::from_value(document.body).ok());
    export.map(Json).ok_or_else(|| Problem::not_found("There is no such export."))
}

/// Removes all but the last exports of an owner: nobody pushes out another's.
fn keep_the_last(ledger: &dyn DocumentStore, owner: Option<&str>) -> Result<(), StoreError> {
    let page = PageRequest { offset: KEPT, limit: KEPT, ..PageRequest::default() };
    for document in ledger.documents(KIND, owner, &page)?.items {
        // Without an owner the list is everybody's.
        if document.owner.as_deref() == owner {
            ledger.take(KIND, &document.id)?;
        }
    }
    Ok(())
}

fn may_see(caller: &Caller, document: &Document) -> bool {
    caller.is_admin() || document.owner == caller.user
}

/// Exports, newest first, without their memories
///
/// The last 100 are kept.
#[utoipa::path(get, path = "/v1/exports", tag = TAG, params(PageQuery),
    responses((status = 200, body = Paged<ExportRow>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<PageQuery>,
) -> Result<Json<Paged<ExportRow>>, Problem> {
    let page = PageOf::new(query.page, query.page_size, KEPT)?;
    let request = PageRequest { offset: page.offset(), limit: page.size, ..PageRequest::default() };
    let found = app.ledger(move |ledger| ledger.documents(KIND, caller.user.as_deref(), &request)).await?;
    let row = |document: Document| {
        let export: Export = serde_json::from_value(document.body).ok()?;
        Some(ExportRow {
            id: export.id,
            filters: export.filters,
            memories: export.memories.len(),
            status: export.status,
            created_at: export.created_at,
        })
    };
    Ok(Json(here.page(page, found.total, found.items.into_iter().filter_map(row).collect())))
}
