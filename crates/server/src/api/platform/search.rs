//! Searching memories.

use axum::extract::State;
use mnemon_engine::SearchRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::{MemoryDoc, OneOrMany, check_length, hit_json, note_unknown_fields, select_fields, wants_object};
use super::queries::MemoryQuery;
use crate::api::dto::{one_value, tag};
use crate::auth::{Caller, Reader};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, double_option, usize_or_text};
use crate::service::AppState;

const DEFAULT_TOP_K: usize = 10;

/// Request of `POST /v3/memories/search`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformSearch)]
pub(super) struct SearchBody {
    /// The question or keywords to search for.
    query: String,
    /// Which memories to search: AND, OR, NOT, user_id, agent_id, app_id, run_id, created_at, updated_at, timestamp,
    /// expiration_date, text, keywords, categories, metadata, memory_ids. A user's key searches only memories of its
    /// user.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Most results, 1 to 1000; default 10.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Lowest score of a result, from 0 to 1. Default 0.1, except that a memory with a word of the query is always
    /// included, and so are memories that `memory_ids` names.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// The fields of the memories to return; default all.
    fields: Option<Vec<String>>,
    /// Only memories with one of these categories.
    categories: Option<OneOrMany>,
    /// Only memories with this metadata.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Whether to include expired memories.
    show_expired: Option<bool>,
    /// Whether to rerank the top results with the configured reranker.
    rerank: Option<bool>,
    /// Whether to hide superseded facts.
    latest_only: Option<bool>,
    /// Only for `/v1` and `/v2`, and not different from `filters`; otherwise in `filters`.
    user_id: Option<Value>,
    /// Only for `/v1` and `/v2`, and not different from `filters`; otherwise in `filters`.
    agent_id: Option<Value>,
    /// Only for `/v1` and `/v2`, and not different from `filters`; otherwise in `filters`.
    app_id: Option<Value>,
    /// Only for `/v1` and `/v2`, and not different from `filters`; otherwise in `filters`.
    run_id: Option<Value>,
    /// `v1.1` answers with an object. On `/v1` and `/v2` also `v1.0`, the default there, which answers with a list.
    output_format: Option<String>,
}

/// The results, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformFound)]
pub(super) struct SearchAnswer {
    #[schema(value_type = Vec<MemoryDoc>)]
    results: Vec<Map<String, Value>>,
    /// Whether the results were reranked, if this was requested. If not, the server's log has the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reranked: Option<bool>,
}

/// Response of the older routes: an object if `output_format` is `v1.1`, otherwise a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldSearchAnswer {
    Object(SearchAnswer),
    #[schema(value_type = Vec<MemoryDoc>)]
    List(Vec<Map<String, Value>>),
}

async fn find(
    app: AppState,
    caller: Caller,
    body: SearchBody,
    ids_in_filters_only: bool,
) -> Result<SearchAnswer, Problem> {
    let query = MemoryQuery {
        filters: body.filters,
        ids: [body.user_id, body.agent_id, body.app_id, body.run_id],
        categories: body.categories,
        metadata: body.metadata,
        ..MemoryQuery::default()
    };
    if ids_in_filters_only {
        query.refuse_ids_beside_filters()?;
    }
    let fields = body.fields;
    check_length("fields", fields.as_deref().unwrap_or_default())?;
    note_unknown_fields(fields.as_deref());
    let query = query.authorize(&caller)?;
    let Some(filter) = query.filter else { return Err(Problem::no_scope()) };
    let request = SearchRequest {
        ids: query.ids,
        top_k: one_value(&[("top_k", body.top_k), ("limit", body.limit)])?.unwrap_or(DEFAULT_TOP_K),
        threshold: body.threshold,
        explain: true,
        show_expired: body.show_expired.unwrap_or(false),
        rerank: body.rerank.unwrap_or(false),
        latest_only: body.latest_only.unwrap_or(false),
        ..SearchRequest::new(body.query, filter)
    };
    let rerank_requested = request.rerank;
    let answer = app.search(request).await?;
    let results = answer.hits.iter().map(|hit| select_fields(hit_json(hit), fields.as_deref())).collect();
    Ok(SearchAnswer { results, reranked: rerank_requested.then_some(answer.reranked) })
}

/// Search memories
#[utoipa::path(post, path = "/v3/memories/search", tag = tag::PLATFORM, request_body = SearchBody,
    responses((status = 200, body = SearchAnswer), (status = 502, body = ErrorBody)))]
pub(super) async fn search(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    wants_object(body.output_format.as_deref(), true);
    Ok(Json(find(app, caller, body, true).await?))
}

/// Search memories (older clients)
#[utoipa::path(post, path = "/v2/memories/search", tag = tag::PLATFORM, request_body = SearchBody,
    responses((status = 200, body = OldSearchAnswer), (status = 502, body = ErrorBody)))]
pub(super) async fn search_v2(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<OldSearchAnswer>, Problem> {
    let as_object = wants_object(body.output_format.as_deref(), false);
    let answer = find(app, caller, body, false).await?;
    Ok(Json(if as_object { OldSearchAnswer::Object(answer) } else { OldSearchAnswer::List(answer.results) }))
}

/// Search memories (oldest clients)
#[utoipa::path(post, path = "/v1/memories/search", tag = tag::PLATFORM, request_body = SearchBody,
    responses((status = 200, body = OldSearchAnswer), (status = 502, body = ErrorBody)))]
pub(super) async fn search_v1(
    state: State<AppState>,
    reader: Reader,
    body: Body<SearchBody>,
) -> Result<Json<OldSearchAnswer>, Problem> {
    search_v2(state, reader, body).await
}
