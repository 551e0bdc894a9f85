//! Searching, as the hosted platform's clients ask for it.

use axum::extract::State;
use mnemon_engine::{SearchHit, SearchRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::TAG;
use super::dto::{MemoryDoc, OneOrMany, hit, limited, project};
use super::queries::Ask;
use crate::auth::{Caller, Reader};
use crate::error::Problem;
use crate::http::extract::{Body, Json, count, some};
use crate::service::app::Shared;

const TOP_K: usize = 10;
const MAX_TOP_K: usize = 1000;

/// A question.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformSearch)]
pub(super) struct SearchBody {
    /// What is asked.
    query: String,
    /// Whose memories, and which of them: AND, OR, NOT, user_id, agent_id, app_id, run_id, created_at, updated_at,
    /// timestamp, expiration_date, text, keywords, categories, metadata, memory_ids. A user's key searches its own user's.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Most hits, 1 ..= 1000; 10 if absent.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// 0 ..= 1; hits that score below are left out. If absent: 0.1, but a memory that holds a word of the question stays.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// Which fields of the memories to answer with; all if absent.
    fields: Option<Vec<String>>,
    /// Only memories of these categories.
    categories: Option<OneOrMany>,
    /// Only memories with these keys of your own.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Shows expired memories too.
    show_expired: Option<bool>,
    /// Has the best of them judged by the reranker, if one is configured.
    rerank: Option<bool>,
    /// Leaves out facts that a newer one stands in for.
    latest_only: Option<bool>,
    /// Older addresses only; elsewhere in `filters`.
    user_id: Option<Value>,
    /// Likewise.
    agent_id: Option<Value>,
    /// Likewise.
    app_id: Option<Value>,
    /// Likewise.
    run_id: Option<Value>,
    /// Older addresses only: `v1.1` answers with an object, anything else with a list.
    output_format: Option<String>,
}

/// What was found, best first.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformFound)]
pub(super) struct SearchAnswer {
    #[schema(value_type = Vec<MemoryDoc>)]
    results: Vec<Map<String, Value>>,
    /// Where that was asked for: whether the reranker has judged them; if not, its failure is in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    reranked: Option<bool>,
}

/// The answer of the older addresses: an object for `output_format` `v1.1`, else the list alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldSearchAnswer {
    Object(SearchAnswer),
    #[schema(value_type = Vec<MemoryDoc>)]
    List(Vec<Map<String, Value>>),
}

async fn found(app: Shared, caller: Caller, body: SearchBody, new: bool) -> Result<SearchAnswer, Problem> {
    let ask = Ask {
        filters: body.filters,
        ids: [body.user_id, body.agent_id, body.app_id, body.run_id],
        categories: body.categories,
        metadata: body.metadata,
        ..Ask::default()
    };
    if new {
        ask.ids_in_filters_only()?;
    }
    let fields = body.fields;
    limited("fields", fields.as_deref().unwrap_or_default())?;
    let gated = ask.gate(&caller)?;
    let Some(filter) = gated.filter else { return Err(Problem::no_scope()) };
    let top_k = body.top_k.or(body.limit).unwrap_or(TOP_K);
    if !(1..=MAX_TOP_K).contains(&top_k) {
        return Err(Problem::bad_request(format!("top_k is {top_k}; give 1 to {MAX_TOP_K}")));
    }
    let request = SearchRequest {
        // Of those named, as many as are asked for: others must not take their places.
        top_k: if gated.ids.is_some() { MAX_TOP_K } else { top_k },
        threshold: body.threshold,
        explain: true,
        show_expired: body.show_expired.unwrap_or(false),
        rerank: body.rerank.unwrap_or(false),
        latest_only: body.latest_only.unwrap_or(false),
        ..SearchRequest::new(body.query, filter)
    };
    let asked_to_rerank = request.rerank;
    let answer = app.search(request).await?;
    let meant = |hit: &&SearchHit| gated.ids.as_ref().is_none_or(|ids| ids.contains(&hit.memory.id));
    let hits = answer.hits.iter().filter(meant).take(top_k);
    let results = hits.map(|found| project(hit(found), fields.as_deref())).collect();
    Ok(SearchAnswer { results, reranked: asked_to_rerank.then_some(answer.reranked) })
}

/// Search memories
#[utoipa::path(post, path = "/v3/memories/search", tag = TAG, request_body = SearchBody,
    responses((status = 200, body = SearchAnswer)))]
pub(super) async fn search(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    Ok(Json(found(app, caller, body, true).await?))
}

/// Search memories, as older clients do
#[utoipa::path(post, path = "/v2/memories/search", tag = TAG, request_body = SearchBody,
    responses((status = 200, body = OldSearchAnswer)))]
pub(super) async fn search_v2(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<OldSearchAnswer>, Problem> {
    let object = body.output_format.as_deref() == Some("v1.1");
    let found = found(app, caller, body, false).await?;
    Ok(Json(if object { OldSearchAnswer::Object(found) } else { OldSearchAnswer::List(found.results) }))
}

/// Search memories, as the oldest clients do
#[utoipa::path(post, path = "/v1/memories/search", tag = TAG, request_body = SearchBody,
    responses((status = 200, body = OldSearchAnswer)))]
pub(super) async fn search_v1(
    state: State<Shared>,
    reader: Reader,
    body: Body<SearchBody>,
) -> Result<Json<OldSearchAnswer>, Problem> {
    search_v2(state, reader, body).await
}
