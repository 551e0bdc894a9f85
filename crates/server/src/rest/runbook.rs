//! The runbook's backend: what its scripts and its integration test call. `/memories` and `/search` are mem0's own.

use axum::extract::State;
use mnemon_store::ScopeSummary;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{chat, oss};
use crate::app::Shared;
use crate::auth::{Caller, Reader};
use crate::body::{Body, Json, Path};
use crate::error::Problem;

const TAG: &str = "runbook";

pub(super) fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(health))
}

pub(super) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(search))
        .routes(routes!(stats))
        .routes(routes!(relationships))
        .routes(routes!(chat::chat))
}

/// How the server is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// `healthy`
    status: &'static str,
    /// The server's version.
    version: &'static str,
    /// Where memories are kept: `sqlite` or `qdrant`.
    store: String,
    /// Whether search is hybrid: dense, words and context together.
    hybrid_search: bool,
    /// The language model; null if there is none.
    llm: Option<String>,
    /// Requests that wait for a model, or are being worked on.
    waiting: usize,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// Whether there are warnings; left out if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    /// What can't be done as things are, and what to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Health {
    fn new(store: String, llm: Option<String>, waiting: usize, uptime_seconds: u64, warnings: Vec<String>) -> Self {
        Self {
            status: "healthy",
            version: env!("CARGO_PKG_VERSION"),
            store,
            hybrid_search: true,
            llm,
            waiting,
            uptime_seconds,
            degraded: !warnings.is_empty(),
            warnings,
        }
    }
}

/// Whether the server can answer
#[utoipa::path(get, path = "/health", tag = TAG, security(()), responses((status = 200, body = Health)))]
async fn health(State(app): State<Shared>) -> Result<Json<Health>, Problem> {
    let (mut warnings, waiting) = app.probe().await?;
    if let Some(reason) = &waiting.reason {
        warnings.push(format!("messages wait to be learnt from: {reason}"));
    }
    let llm = app.engine.language_model().map(|llm| llm.name().to_owned());
    Ok(Json(Health::new(app.store_kind.clone(), llm, waiting.requests, app.started.elapsed().as_secs(), warnings)))
}

/// Search memories
///
/// The same as `/search`.
#[utoipa::path(post, path = "/memories/search", tag = TAG, request_body = oss::SearchBody,
    responses((status = 200, body = oss::SearchAnswer)))]
async fn search(
    state: State<Shared>,
    reader: Reader,
    body: Body<oss::SearchBody>,
) -> Result<Json<oss::SearchAnswer>, Problem> {
    oss::search(state, reader, body).await
}

/// How much is remembered of a user.
#[derive(Serialize, ToSchema)]
struct Stats {
    user_id: String,
    /// Memories, expired ones included.
    memory_count: usize,
    /// Names that the memories hold.
    entities: usize,
    /// Links between memories.
    relationships: usize,
    /// When the first was stored, RFC 3339.
    first_memory_at: Option<String>,
    /// When the last was stored.
    last_memory_at: Option<String>,
}

/// How much is remembered of a user
#[utoipa::path(get, path = "/stats/{user_id}", tag = TAG, params(("user_id" = String, Path)),
    responses((status = 200, body = Stats)))]
async fn stats(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(user): Path<String>,
) -> Result<Json<Stats>, Problem> {
    let scope = of_user(&caller, &user)?;
    let user_id = scope.user_id.clone().unwrap_or_default();
    let ScopeSummary { memories, entities, links, first, last } =
        app.engine(move |engine| Ok(engine.stats(&scope)?)).await?;
    Ok(Json(Stats {
        user_id,
        memory_count: memories,
        entities,
        relationships: links,
        first_memory_at: first,
        last_memory_at: last,
    }))
}

/// The old graph.
#[derive(Serialize, ToSchema)]
struct Relationships {
    relationships: Vec<Relationship>,
    /// true: mem0 v2 has no graph.
    deprecated: bool,
    message: &'static str,
}

/// A relation between two names.
#[derive(Serialize, ToSchema)]
struct Relationship {
    source: String,
    relationship: String,
    destination: String,
}

/// The relations of a user's graph
///
/// Empty until a graph was imported.
#[utoipa::path(get, path = "/graph/relationships/{user_id}", tag = TAG, params(("user_id" = String, Path)),
    responses((status = 200, body = Relationships)))]
async fn relationships(Reader(caller): Reader, Path(user): Path<String>) -> Result<Json<Relationships>, Problem> {
    of_user(&caller, &user)?;
    Ok(Json(Relationships {
        relationships: Vec::new(),
        deprecated: true,
        message: "The graph was retired with mem0 v2; memories are joined by the entities they name.",
    }))
}

fn of_user(caller: &Caller, user: &str) -> Result<mnemon_store::Scope, Problem> {
    caller.scope(Some(user), None, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_tells_of_warnings_only_where_there_are_some() {
        let told = |warnings| serde_json::to_value(Health::new("sqlite".into(), None, 0, 7, warnings)).unwrap();
        let mut expected = json!({
            "status": "healthy", "version": env!("CARGO_PKG_VERSION"), "store": "sqlite", "hybrid_search": true,
            "llm": null, "waiting": 0, "uptime_seconds": 7,
        });
        assert_eq!(told(Vec::new()), expected);
        expected["degraded"] = json!(true);
        expected["warnings"] = json!(["no slot for words: recreate the collection"]);
        assert_eq!(told(vec!["no slot for words: recreate the collection".into()]), expected);
    }
}
