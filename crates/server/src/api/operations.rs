//! Routes for operators: metrics, liveness and readiness.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::tag;
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::Json;
use crate::service::AppState;

pub(super) fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz))
}

pub(super) fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Response of a probe.
#[derive(Serialize, ToSchema)]
struct Probe {
    /// `ok`
    status: &'static str,
}

/// Liveness probe
#[utoipa::path(get, path = "/livez", tag = tag::OPERATIONS, security(()), responses((status = 200, body = Probe)))]
async fn livez() -> Json<Probe> {
    Json(Probe { status: "ok" })
}

/// Readiness probe: the store answers
#[utoipa::path(get, path = "/readyz", tag = tag::OPERATIONS, security(()), responses((status = 200, body = Probe)))]
async fn readyz(State(app): State<AppState>) -> Result<Json<Probe>, Problem> {
    app.probe().await?;
    Ok(Json(Probe { status: "ok" }))
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = tag::OPERATIONS,
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<AppState>, _: Admin) -> Result<impl IntoResponse, Problem> {
    let (info, pending) = app.with_engine(|engine| Ok((engine.store().info()?, engine.pending_jobs()?))).await?;
    let webhooks = app.webhooks.clone();
    let deliveries = app.with_documents(move |_| webhooks.queued()).await?;
    metrics::gauge!("mnemon_memories").set(info.memories as f64);
    metrics::gauge!("mnemon_entities").set(info.entities as f64);
    metrics::gauge!("mnemon_store_bytes").set(info.bytes as f64);
    metrics::gauge!("mnemon_extraction_queue").set(pending.requests as f64);
    metrics::gauge!("mnemon_webhook_queue").set(deliveries as f64);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()))
}
