//! `GET /health`: the state of the server, for people and scripts.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::tag;
use crate::error::Problem;
use crate::http::extract::Json;
use crate::service::AppState;

/// Server health.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `healthy`
    status: &'static str,
    /// The version of the server.
    version: &'static str,
    /// The kind of store: `sqlite` or `qdrant`.
    store: String,
    /// Whether search is hybrid: dense vectors, keywords and context together.
    hybrid_search: bool,
    /// The language model; null if none is configured.
    llm: Option<String>,
    /// Extraction jobs that are pending or running.
    waiting: usize,
    /// Seconds since the server started.
    uptime_seconds: u64,
    /// True if there are warnings, otherwise absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    /// What is degraded, and what to do about it.
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

/// Server health
///
/// Checks that the store answers, and lists what is degraded.
#[utoipa::path(get, path = "/health", tag = tag::LEGACY, security(()), responses((status = 200, body = Health)))]
pub(super) async fn health(State(app): State<AppState>) -> Result<Json<Health>, Problem> {
    let (mut warnings, pending) = app.probe().await?;
    if let Some(reason) = &pending.reason {
        warnings.push(format!("messages are queued for extraction: {reason}"));
    }
    let llm = app.engine.language_model().map(|llm| llm.name().to_owned());
    Ok(Json(Health::new(app.store_kind.clone(), llm, pending.requests, app.started.elapsed().as_secs(), warnings)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_has_warnings_only_if_there_are_some() {
        let health = |warnings| serde_json::to_value(Health::new("sqlite".into(), None, 0, 7, warnings)).unwrap();
        let mut expected = json!({
            "status": "healthy", "version": env!("CARGO_PKG_VERSION"), "store": "sqlite", "hybrid_search": true,
            "llm": null, "waiting": 0, "uptime_seconds": 7,
        });
        assert_eq!(health(Vec::new()), expected);
        expected["degraded"] = json!(true);
        expected["warnings"] = json!(["the collection has no sparse vectors: recreate it"]);
        assert_eq!(health(vec!["the collection has no sparse vectors: recreate it".into()]), expected);
    }
}
