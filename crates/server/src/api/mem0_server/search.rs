//! `/search` of mem0's server.

use axum::extract::State;
use mnemon_engine::{EngineError, SearchRequest};
use mnemon_store::Filter;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::dto::Item;
use crate::auth::{Caller, Reader};
use crate::error::Problem;
use crate::http::extract::{Body, Json, count};
use crate::service::app::Shared;

/// mem0's default.
const THRESHOLD: f32 = 0.1;

/// A question.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SearchBody {
    /// What is asked.
    query: String,
    /// Whose memories, and which of them; must name a user_id, agent_id or run_id.
    #[schema(value_type = Option<Object>)]
    filters: Option<Map<String, Value>>,
    /// Most hits, 1 ..= 1000; 20 if absent.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 1000)]
    top_k: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// 0 ..= 1; hits that score below are left out.
    #[schema(minimum = 0, maximum = 1)]
    threshold: Option<f32>,
    /// Tells why each hit was found.
    explain: Option<bool>,
    /// Shows expired memories too.
    show_expired: Option<bool>,
    /// Has the best of them judged by the reranker, if one is configured.
    rerank: Option<bool>,
    /// Leaves out facts that a newer one stands in for.
    latest_only: Option<bool>,
    /// Instead of the filter's, as older clients do it.
    user_id: Option<String>,
    /// Likewise.
    agent_id: Option<String>,
    /// Likewise.
    run_id: Option<String>,
}

/// What was found, best first.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    pub(in crate::api) results: Vec<Item>,
    /// Where that was asked for: whether the reranker has judged them; if not, its failure is in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) reranked: Option<bool>,
}

impl SearchBody {
    fn request(self, caller: &Caller) -> Result<SearchRequest, Problem> {
        let mut filters = self.filters.unwrap_or_default();
        for (key, id) in [("user_id", self.user_id), ("agent_id", self.agent_id), ("run_id", self.run_id)] {
            if let Some(id) = id {
                filters.insert(key.to_owned(), id.into());
            }
        }
        let asked = match filters.is_empty() {
            true => None,
            false => Some(Filter::parse(&Value::Object(filters)).map_err(EngineError::from)?),
        };
        let Some(filter) = caller.filter(asked)? else { return Err(Problem::no_scope()) };
        Ok(SearchRequest {
            top_k: self.top_k.or(self.limit).unwrap_or(20),
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
#[utoipa::path(post, path = "/search", tag = "mem0 server", request_body = SearchBody,
    responses((status = 200, body = SearchAnswer)))]
pub(crate) async fn search(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    let threshold = body.threshold.unwrap_or(THRESHOLD);
    let request = body.request(&caller)?;
    let asked_to_rerank = request.rerank;
    let answer = app.search(request).await?;
    let results = answer.hits.iter().map(|hit| Item::scored(hit, threshold)).collect();
    Ok(Json(SearchAnswer { results, reranked: asked_to_rerank.then_some(answer.reranked) }))
}
