//! What those who run the server ask for: metrics, whether it lives, whether it is ready.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::Json;
use crate::service::app::Shared;

const TAG: &str = "operators";

pub(super) fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz))
}

pub(super) fn guarded() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// A short answer.
#[derive(Serialize, ToSchema)]
struct Probe {
    /// `ok`
    status: &'static str,
}

/// Whether the process lives
#[utoipa::path(get, path = "/livez", tag = TAG, security(()), responses((status = 200, body = Probe)))]
async fn livez() -> Json<Probe> {
    Json(Probe { status: "ok" })
}

/// Whether requests can be served: the store answers
#[utoipa::path(get, path = "/readyz", tag = TAG, security(()), responses((status = 200, body = Probe)))]
async fn readyz(State(app): State<Shared>) -> Result<Json<Probe>, Problem> {
    app.probe().await?;
    Ok(Json(Probe { status: "ok" }))
}

/// Counters and times for Prometheus
#[utoipa::path(get, path = "/metrics", tag = TAG, responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<Shared>, _: Admin) -> Result<impl IntoResponse, Problem> {
    let info = app.engine(|engine| Ok(engine.store().info()?)).await?;
    metrics::gauge!("mnemon_memories").set(info.memories as f64);
    metrics::gauge!("mnemon_entities").set(info.entities as f64);
    metrics::gauge!("mnemon_store_bytes").set(info.bytes as f64);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()))
}
