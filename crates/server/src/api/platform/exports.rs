//! Exports: the memories that match filters at one time, stored to be read later.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use mnemon_engine::ListRequest;
use mnemon_store::filter::ScopeKey;
use mnemon_store::{Collection, Document, DocumentStore, Durability, MemoryId, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::{ENTITY_KEYS, MemoryDoc, PageNumber, PageQuery, Paged, RequestUrl, memory_json};
use super::queries::{AuthorizedQuery, MemoryQuery};
use crate::answer;
use crate::api::dto::tag;
use crate::auth::{Reader, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Query, double_option};
use crate::service::{App, AppState};

pub(super) const KIND: &str = "export";
/// Most memories of one export.
const MAX_MEMORIES: usize = 10_000;
/// Exports that are kept for each owner.
const MAX_EXPORTS: usize = 100;
/// Exports read at a time; each may be large.
const EXPORT_BATCH: usize = 10;
/// Memories read at a time.
const MEMORY_BATCH: usize = 1000;

/// Request of `POST /v1/exports`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformExport)]
pub(super) struct ExportBody {
    /// Stored with the export, but not applied: that would require a language model.
    #[schema(value_type = Object)]
    schema: Value,
    /// Which memories to export; the same filters as for searching. A user's key exports only memories of its user.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Stored with the export.
    export_instructions: Option<String>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<Value>,
    run_id: Option<Value>,
}

/// Response of `POST /v1/exports`.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformExportMade)]
pub(super) struct ExportMade {
    message: &'static str,
    /// The `memory_export_id` for reading the export.
    id: String,
    /// Number of memories in the export.
    memories: usize,
}

/// An export.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PlatformExportObject)]
pub(super) struct Export {
    id: String,
    #[schema(value_type = Vec<MemoryDoc>)]
    memories: Vec<Map<String, Value>>,
    /// The schema of the request.
    schema: Value,
    /// The filters of the request.
    #[schema(value_type = Object)]
    filters: Map<String, Value>,
    export_instructions: Option<String>,
    /// `SUCCEEDED`
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
    /// Number of memories in the export.
    memories: usize,
    /// `SUCCEEDED`
    status: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The filters together with the ids beside them, which must not differ from the filters.
fn merged_filters(filters: Option<&Value>, ids: &[Option<Value>; 4]) -> Result<Map<String, Value>, Problem> {
    let mut merged = filters.and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, id) in ENTITY_KEYS.iter().zip(ids) {
        let Some(id) = id else { continue };
        let in_filters = merged.entry(*key).or_insert_with(|| id.clone());
        if let (Some(first), Some(second)) = (id.as_str(), in_filters.as_str())
            && first.trim() != second.trim()
        {
            let message = format!("{key} is `{first}`, and filters.{key} is `{second}`; give only one of them");
            return Err(Problem::bad_request(message));
        }
    }
    Ok(merged)
}

/// Export memories
///
/// Stores the memories that match the filters now, at most 10,000.
#[utoipa::path(post, path = "/v1/exports", tag = tag::PLATFORM, request_body = ExportBody,
    responses((status = 201, body = ExportMade)))]
pub(super) async fn create(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(body): Body<ExportBody>,
) -> Result<(StatusCode, Json<ExportMade>), Problem> {
    if !caller.access.read {
        return Err(Problem::missing_scope("read"));
    }
    if !body.schema.is_object() && !body.schema.is_string() {
        return Err(Problem::bad_request("schema: must be a JSON schema, as an object or a string"));
    }
    let ids = [body.user_id, body.agent_id, body.app_id, body.run_id];
    let filters = merged_filters(body.filters.as_ref(), &ids)?;
    let query = MemoryQuery { filters: body.filters, ids, ..MemoryQuery::default() }.authorize(&caller)?;
    // The export is deleted with the user whose memories it contains.
    let user = query.filter.as_ref().and_then(|filter| filter.scope().pinned(ScopeKey::User)).map(str::to_owned);
    let owner = caller.user.clone().or(user);
    let (schema, export_instructions) = (body.schema, body.export_instructions);
    let exporting = app.clone();
    let created = app.blocking(move || {
        let export = Export {
            id: uuid::Uuid::new_v4().to_string(),
            memories: read_all(&exporting, query)?,
            schema,
            filters,
            export_instructions,
            status: "SUCCEEDED".to_owned(),
            created_at: Timestamp::now(),
        };
        let made = ExportMade { message: "Memory export made", memories: export.memories.len(), id: export.id.clone() };
        let owner = owner.map(|owner| exporting.engine.stored_id(ScopeKey::User, &owner)).transpose()?;
        let exports = exports(exporting.documents.clone());
        let document = exports.document(export.id.clone(), export).owned_by(owner.as_deref());
        exports.put(&[document], Durability::Synced)?;
        // The export is stored. Old ones that could not be removed are removed with the next one.
        if let Err(error) = remove_oldest(&exports, owner.as_ref()) {
            tracing::warn!(%error, "old exports were not removed");
        }
        Ok::<_, Problem>(made)
    });
    Ok((StatusCode::CREATED, Json(created.await??)))
}

fn exports(documents: Arc<dyn DocumentStore>) -> Collection<Export> {
    Collection::new(documents, KIND)
}

/// All memories that match, as JSON. Blocks.
fn read_all(app: &App, query: AuthorizedQuery) -> Result<Vec<Map<String, Value>>, Problem> {
    let mut request = ListRequest { filter: query.filter, limit: MEMORY_BATCH, ..ListRequest::default() };
    let is_named = |id: &MemoryId| query.ids.as_ref().is_none_or(|ids| ids.contains(id));
    let mut memories = Vec::new();
    loop {
        let page = app.engine.list(&request)?;
        if query.ids.is_none() && page.total > MAX_MEMORIES {
            return Err(Problem::bad_request(format!(
                "the filters match {} memories, but an export has at most {MAX_MEMORIES}: add conditions, e.g. on \
                 created_at",
                page.total
            )));
        }
        memories.extend(page.items.iter().filter(|memory| is_named(&memory.id)).map(memory_json));
        request.cursor = page.next;
        if request.cursor.is_none() {
            return Ok(memories);
        }
    }
}

/// Request of `POST /v1/exports/get`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformExportWanted)]
pub(super) struct WantedBody {
    /// The id of the export.
    memory_export_id: Option<String>,
    /// The newest export with these filters; without id and filters, the newest export.
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<Value>,
    run_id: Option<Value>,
}

/// Get an export with its memories
#[utoipa::path(post, path = "/v1/exports/get", tag = tag::PLATFORM, request_body = WantedBody,
    responses((status = 200, body = Export), (status = 404, body = ErrorBody)))]
pub(super) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<WantedBody>,
) -> Result<Json<Export>, Problem> {
    let ids = [body.user_id, body.agent_id, body.app_id, body.run_id];
    let filters = merged_filters(body.filters.as_ref(), &ids)?;
    let is_given = |filters: &Value| filters.as_object().is_none_or(|filters| !filters.is_empty());
    let has_filters = body.filters.as_ref().is_some_and(is_given);
    if body.memory_export_id.is_some() {
        let beside = ENTITY_KEYS.iter().zip(&ids).map(|(key, id)| (*key, id.is_some()));
        beside.chain([("filters", has_filters)]).filter(|(_, given)| *given).for_each(|(key, _)| answer::ignore(key));
    } else if has_filters || ids.iter().any(Option::is_some) {
        let filters = body.filters.filter(is_given);
        // Exports of other users are unknown ones.
        if let Err(problem) = (MemoryQuery { filters, ids, ..MemoryQuery::default() }).authorize(&caller)
            && problem.status != StatusCode::FORBIDDEN
        {
            return Err(problem);
        }
    }
    let owners = caller.forms();
    let found = app.with_documents(move |documents| {
        let exports = exports(documents);
        if let Some(id) = body.memory_export_id {
            return exports.get_visible(&id, |owner| caller.is_user(owner));
        }
        let mut request = PageRequest { limit: EXPORT_BATCH, ..PageRequest::default() };
        loop {
            let page = exports.readable(owners.as_deref(), &request)?;
            let matches = |found: &Document<Export>| filters.is_empty() || found.body.filters == filters;
            if let Some(found) = page.items.into_iter().find(matches) {
                return Ok(Some(found));
            }
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(None);
            }
        }
    });
    let export = found.await?.ok_or_else(|| Problem::not_found("This export does not exist."))?;
    Ok(Json(export.body))
}

/// Removes the oldest exports of an owner, above [`MAX_EXPORTS`]. Exports of other owners stay.
fn remove_oldest(exports: &Collection<Export>, owner: Option<&String>) -> Result<(), StoreError> {
    let page = PageRequest { offset: MAX_EXPORTS, limit: MAX_EXPORTS, ..PageRequest::default() };
    for document in exports.readable(owner.map(std::slice::from_ref), &page)?.items {
        // Without an owner the page contains the exports of all owners.
        if document.owner.as_ref() == owner {
            exports.remove(&document.id)?;
        }
    }
    Ok(())
}

/// List exports, newest first, without their memories
///
/// The last 100 exports of each owner are kept.
#[utoipa::path(get, path = "/v1/exports", tag = tag::PLATFORM, params(PageQuery),
    responses((status = 200, body = Paged<ExportRow>)))]
pub(super) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
) -> Result<Json<Paged<ExportRow>>, Problem> {
    let page = PageNumber::new(query.page, query.page_size, MAX_EXPORTS)?;
    let request = PageRequest { offset: page.offset(), limit: page.size, ..PageRequest::default() };
    let found =
        app.with_documents(move |documents| exports(documents).readable(caller.forms().as_deref(), &request)).await?;
    let row = |Document { body: export, .. }: Document<Export>| ExportRow {
        id: export.id,
        filters: export.filters,
        memories: export.memories.len(),
        status: export.status,
        created_at: export.created_at,
    };
    Ok(Json(url.page(page, found.total, found.items.into_iter().map(row).collect())))
}
