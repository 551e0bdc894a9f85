//! What is seen of a request: its id, a line in the log, counters and times, and the headers every answer has.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

use crate::auth::{AuthKind, Caller};
use crate::error::Problem;
use crate::service::app::Shared;
use crate::service::request_log::Entry;

tokio::task_local! {
    static REQUEST_ID: String;
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Seconds: from a cached answer to one that was given up.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// A recorder that answers `/metrics` with histograms.
pub(crate) fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?;
    Ok(builder.build_recorder())
}

/// The id of the request that is being answered; empty outside of one.
pub(crate) fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Does something as part of a request, on a thread of its own.
pub(crate) fn with_request_id<T>(id: String, work: impl FnOnce() -> T) -> T {
    REQUEST_ID.sync_scope(id, work)
}

/// Where the guard leaves who it let in, for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LetIn(pub(crate) Arc<OnceLock<Caller>>);

/// Wraps the answering of every request.
pub(crate) async fn observe(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = given_id(&request).unwrap_or_else(fresh_id);
    let started = Instant::now();
    let created_at = Timestamp::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", |route| route.as_str()).to_owned();
    let from = request.extensions().get::<SocketAddr>().copied();
    let let_in = LetIn::default();
    request.extensions_mut().insert(let_in.clone());
    let answer = async {
        let answered = async { next.run(with_small_body(request).await).await };
        match tokio::time::timeout(app.config.request_timeout, answered).await {
            Ok(response) => response,
            Err(_) => Problem::timeout().into_response(),
        }
    };
    let mut response = REQUEST_ID.scope(id.clone(), answer).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
    metrics::counter!("mnemon_http_requests_total", &labels).increment(1);
    metrics::histogram!("mnemon_http_request_seconds", &labels).record(elapsed.as_secs_f64());
    let latency_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
    let caller = let_in.0.get();
    tracing::info!(
        target: "mnemon::request",
        request_id = %id,
        method = %method,
        path = %path,
        status,
        latency_ms,
        auth = caller.map_or("none", |caller| caller.kind.as_str()),
        key = caller.map_or("", |caller| caller.name.as_str()),
        from = from.map(|from| from.to_string()),
    );
    if let Some(caller) = caller.filter(|caller| matches!(caller.kind, AuthKind::ApiKey | AuthKind::AdminApiKey)) {
        app.requests.note(Entry {
            id: id.clone(),
            method: method.to_string(),
            path,
            status_code: status,
            latency_ms,
            auth_type: caller.kind.as_str().to_owned(),
            created_at,
        });
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The page at /docs brings its own styles inline; nothing else has any business loading anything.
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // Memories are nobody else's business, a shared cache's least of all.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The largest body that is read before anybody looks at the request, in bytes.
const SMALL_BODY: usize = 64 << 10;

/// Stands for a body that did not come to its end: no JSON, and refused as such.
const CUT_OFF: &[u8] = b"\0";

/// Reads a small body whole. A request that is refused unread would have its connection closed, and a client that is still
/// sending would see that instead of the answer.
async fn with_small_body(request: Request) -> Request {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if !length.is_some_and(|length: usize| (1..=SMALL_BODY).contains(&length)) {
        return request;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, SMALL_BODY).await.unwrap_or_else(|_| CUT_OFF.into());
    Request::from_parts(parts, body.into())
}

/// The caller's own id for the request, if it is one that can stand in a log.
fn given_id(request: &Request) -> Option<String> {
    let id = request.headers().get(X_REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    fits.then(|| id.to_owned())
}

fn fresh_id() -> String {
    format!("{:08x}", rand::random::<u32>())
}
