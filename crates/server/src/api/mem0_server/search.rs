//! `/search` of mem0's server.

use axum::extract::State;
use mnemon_engine::{EngineError, SearchRequest};
use mnemon_store::Filter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::Item;
use crate::api::dto::{one_value, tag};
use crate::api::ids::take_ids;
use crate::auth::{Caller, Reader};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, usize_or_text};
use crate::service::AppState;

/// mem0's defaults.
const DEFAULT_TOP_K: usize = 20;
const THRESHOLD: f32 = 0.1;

/// Request of `POST /search`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SearchBody {
    /// The question or keywords to search for.
    query: String,
    /// Which memories to search; must contain a user_id, agent_id or run_id. `memory_ids` and `id` name memories by their ids.
    #[schema(value_type = Option<Object>)]
    filters: Option<Map<String, Value>>,
    /// Most results, 1 to 1000; default 20.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Lowest score of a result, from 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// Whether to add `score_details` to each result.
    explain: Option<bool>,
    /// Whether to include expired memories.
    show_expired: Option<bool>,
    /// Whether to rerank the top results with the configured reranker.
    rerank: Option<bool>,
    /// Whether to hide superseded facts.
    latest_only: Option<bool>,
    /// The same as in `filters`, for older clients. Must not differ from an id there.
    user_id: Option<String>,
    /// The same as in `filters`, for older clients. Must not differ from an id there.
    agent_id: Option<String>,
    /// The same as in `filters`, for older clients. Must not differ from an id there.
    run_id: Option<String>,
}

/// The results, best first.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    results: Vec<Item>,
    /// Whether the results were reranked, if this was requested. If not, the server's log has the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reranked: Option<bool>,
}

impl SearchBody {
    fn request(self, caller: &Caller) -> Result<SearchRequest, Problem> {
        let mut conditions = Vec::new();
        let mut ids = None;
        let mut filters = self.filters;
        if let Some(filters) = &mut filters {
            take_ids(filters, "filters", &mut ids)?;
        }
        if let Some(filters) = filters.filter(|filters| !filters.is_empty()) {
            conditions.push(Filter::parse(&Value::Object(filters)).map_err(EngineError::from)?);
        }
        for (key, id) in [("user_id", self.user_id), ("agent_id", self.agent_id), ("run_id", self.run_id)] {
            if let Some(id) = id {
                conditions.push(Filter::eq(key, id).map_err(EngineError::from)?);
            }
        }
        let Some(filter) = caller.filter(Filter::all(conditions))? else { return Err(Problem::no_scope()) };
        Ok(SearchRequest {
            ids,
            top_k: one_value(&[("top_k", self.top_k), ("limit", self.limit)])?.unwrap_or(DEFAULT_TOP_K),
            threshold: self.threshold,
            explain: self.explain.unwrap_or(false),
            show_expired: self.show_expired.unwrap_or(false),
            rerank: self.rerank.unwrap_or(false),
            latest_only: self.latest_only.unwrap_or(false),
            ..SearchRequest::new(self.query, filter)
        })
    }
}

/// Search memories
#[utoipa::path(post, path = "/search", tag = tag::MEM0_SERVER, request_body = SearchBody,
    responses((status = 200, body = SearchAnswer), (status = 502, body = ErrorBody)))]
pub(crate) async fn search(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    let threshold = body.threshold.unwrap_or(THRESHOLD);
    let request = body.request(&caller)?;
    let rerank_requested = request.rerank;
    let answer = app.search(request).await?;
    let results = answer.hits.iter().map(|hit| Item::scored(hit, threshold)).collect();
    Ok(Json(SearchAnswer { results, reranked: rerank_requested.then_some(answer.reranked) }))
}
