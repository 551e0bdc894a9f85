//! Statistics of a user: `GET /stats/{user_id}` and `GET /graph/relationships/{user_id}`.

use axum::extract::State;
use mnemon_engine::Engine;
use mnemon_store::ScopeSummary;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::tag;
use crate::auth::Reader;
use crate::error::Problem;
use crate::http::extract::{Json, Path};
use crate::service::AppState;

/// Statistics of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    user_id: String,
    /// Number of memories, including expired ones.
    memory_count: usize,
    /// Number of distinct entities in the memories.
    entities: usize,
    /// Number of links between memories.
    relationships: usize,
    /// Number of requests that are kept although nothing could be learnt from them; see /v1/parked.
    parked_requests: usize,
    /// When the first memory was stored, RFC 3339.
    first_memory_at: Option<String>,
    /// When the last memory was stored, RFC 3339.
    last_memory_at: Option<String>,
}

/// Get the statistics of a user
#[utoipa::path(get, path = "/stats/{user_id}", tag = tag::LEGACY, params(("user_id" = String, Path)),
    responses((status = 200, body = Stats)))]
pub(super) async fn stats(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(user): Path<String>,
) -> Result<Json<Stats>, Problem> {
    let scope = caller.scope(Some(&user), None, None)?;
    let user_id = scope.user_id.clone().unwrap_or_default();
    let work = move |engine: &Engine| {
        let parked = engine.parked_requests(scope.user_id.as_deref(), usize::MAX)?;
        Ok((engine.stats(&scope)?, parked.len()))
    };
    let (summary, parked_requests) = app.with_engine(work).await?;
    let ScopeSummary { memories, entities, links, first, last } = summary;
    Ok(Json(Stats {
        user_id,
        memory_count: memories,
        entities,
        relationships: links,
        parked_requests,
        first_memory_at: first,
        last_memory_at: last,
    }))
}

/// The graph of a user. mem0 v2 has no graph, so it is empty.
#[derive(Serialize, ToSchema)]
pub(super) struct Relationships {
    relationships: Vec<Relationship>,
    /// Always true: mem0 v2 has no graph.
    deprecated: bool,
    message: &'static str,
}

/// A relation between two entities.
#[derive(Serialize, ToSchema)]
struct Relationship {
    source: String,
    relationship: String,
    destination: String,
}

/// List the relations in the graph of a user
///
/// Always empty: mem0 v2 has no graph.
#[utoipa::path(get, path = "/graph/relationships/{user_id}", tag = tag::LEGACY, params(("user_id" = String, Path)),
    responses((status = 200, body = Relationships)))]
pub(super) async fn relationships(
    Reader(caller): Reader,
    Path(user): Path<String>,
) -> Result<Json<Relationships>, Problem> {
    caller.scope(Some(&user), None, None)?;
    Ok(Json(Relationships {
        relationships: Vec::new(),
        deprecated: true,
        message: "mem0 v2 has no graph; memories are related by the entities they mention.",
    }))
}
