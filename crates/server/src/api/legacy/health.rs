//! `GET /health`: the state of the server, for people and scripts.

use axum::extract::State;
use mnemon_engine::{ParkedRequest, PendingJobs};
use mnemon_store::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::tag;
use crate::auth::{AuthKind, MaybeCaller};
use crate::error::Problem;
use crate::http::extract::Json;
use crate::service::AppState;

/// Parked requests that are named to an admin.
const MAX_NAMED: usize = 100;

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
    /// The code of the error that one of them failed with; absent if none has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_code: Option<String>,
    /// That error with the message of the model's service; only with an admin's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_detail: Option<String>,
    /// Requests that are kept although nothing could be learnt from them; see /v1/parked.
    parked: usize,
    /// The first hundred of them; only with an admin's key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parked_requests: Vec<ParkedName>,
    /// Seconds since the server started.
    uptime_seconds: u64,
    /// True if there are warnings, otherwise absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    /// What is degraded, and what to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A parked request and why nothing was learnt from it.
#[derive(Serialize, ToSchema)]
struct ParkedName {
    event_id: String,
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
    /// The last error, with the message of the model's service.
    error: String,
}

impl From<ParkedRequest> for ParkedName {
    fn from(request: ParkedRequest) -> Self {
        let Scope { user_id, agent_id, run_id } = request.scope;
        let error = request.detail.unwrap_or(request.reason);
        Self { event_id: request.event_id, user_id, agent_id, run_id, error }
    }
}

impl Health {
    fn new(
        store: String,
        llm: Option<String>,
        pending: &PendingJobs,
        uptime_seconds: u64,
        warnings: Vec<String>,
    ) -> Self {
        Self {
            status: "healthy",
            version: env!("CARGO_PKG_VERSION"),
            store,
            hybrid_search: true,
            llm,
            waiting: pending.requests,
            waiting_code: pending.code.clone(),
            waiting_detail: None,
            parked: pending.parked,
            parked_requests: Vec::new(),
            uptime_seconds,
            degraded: !warnings.is_empty(),
            warnings,
        }
    }
}

/// Server health
///
/// Checks that the store answers, and lists the degraded parts.
#[utoipa::path(get, path = "/health", tag = tag::LEGACY, security(()), responses((status = 200, body = Health)))]
pub(super) async fn health(
    State(app): State<AppState>,
    caller: Result<MaybeCaller, Problem>,
) -> Result<Json<Health>, Problem> {
    let found = app.probe().await?;
    let (mut warnings, pending) = (found.warnings.clone(), &found.pending);
    if let Some(reason) = &pending.reason {
        warnings.push(format!("messages are queued for extraction: {reason}"));
    }
    if pending.parked > 0 {
        warnings
            .push(format!("nothing could be learnt from {} requests, which are kept: see /v1/parked", pending.parked));
    }
    let llm = app.engine.language_model().map(|llm| llm.name().to_owned());
    let mut health = Health::new(app.store_kind.clone(), llm, pending, app.started.elapsed().as_secs(), warnings);
    // A probe with a wrong key is answered like one without.
    if let Ok(MaybeCaller(Some(caller))) = caller
        && caller.is_admin()
        && caller.kind != AuthKind::Off
    {
        health.waiting_detail.clone_from(&pending.detail);
        if pending.parked > 0 {
            let parked = app.with_engine(|engine| Ok(engine.parked_requests(None, MAX_NAMED)?)).await?;
            health.parked_requests = parked.into_iter().map(ParkedName::from).collect();
        }
    }
    Ok(Json(health))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_has_warnings_only_if_there_are_some() {
        let health = |warnings| {
            serde_json::to_value(Health::new("sqlite".into(), None, &PendingJobs::default(), 7, warnings)).unwrap()
        };
        let mut expected = json!({
            "status": "healthy", "version": env!("CARGO_PKG_VERSION"), "store": "sqlite", "hybrid_search": true,
            "llm": null, "waiting": 0, "parked": 0, "uptime_seconds": 7,
        });
        assert_eq!(health(Vec::new()), expected);
        expected["degraded"] = json!(true);
        expected["warnings"] = json!(["the collection has no sparse vectors: recreate it"]);
        assert_eq!(health(vec!["the collection has no sparse vectors: recreate it".into()]), expected);
    }
}
