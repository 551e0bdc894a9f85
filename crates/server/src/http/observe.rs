//! For every request: its id, a line in the log, metrics, the timeout, and the headers that all answers have.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

use super::extract::is_openai;
use super::parameters::{IGNORED, ignored_header};
use crate::answer::{self, ErrorFormat};
use crate::auth::{AuthKind, AuthenticatedCaller};
use crate::error::Problem;
use crate::forwarded::Client;
use crate::request_id;
use crate::service::{AppState, Entry};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bounds of the histogram in seconds, from the fastest answer to the timeout.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// A metrics recorder whose `/metrics` contains histograms.
pub(crate) fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)?;
    Ok(builder.build_recorder())
}

/// The middleware around all routes.
pub(crate) async fn observe(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = client_request_id(&request).unwrap_or_else(new_request_id);
    let started = Instant::now();
    let created_at = Timestamp::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", |route| route.as_str()).to_owned();
    let format = error_format(&request);
    let peer = request.extensions().get::<SocketAddr>().copied();
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let client = Client::of(peer, request.headers(), authority, &app.config.trusted_proxies);
    let from = match client.address.filter(|_| client.is_forwarded) {
        Some(address) => Some(address.to_string()),
        None => peer.map(|peer| peer.to_string()),
    };
    let proxy = peer.filter(|_| client.is_forwarded).map(|peer| peer.to_string());
    request.extensions_mut().insert(client);
    let authenticated = AuthenticatedCaller::default();
    request.extensions_mut().insert(authenticated.clone());
    let answer = async {
        let mut response = next.run(request).await;
        if let Some(names) = ignored_header() {
            response.headers_mut().insert(IGNORED, names);
        }
        response
    };
    let mut response = request_id::scope(id.clone(), answer::scope(format, answer)).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let labels = [("method", method_label(&method).to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("mnemon_http_requests_total", &labels).increment(1);
    metrics::histogram!("mnemon_http_request_seconds", &labels).record(elapsed.as_secs_f64());
    let latency_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
    let caller = authenticated.0.get();
    tracing::info!(
        target: "mnemon::request",
        request_id = %id,
        method = %method,
        path = %path,
        status,
        latency_ms,
        auth = caller.map_or("none", |caller| caller.kind.as_str()),
        key = caller.map_or("", |caller| caller.name.as_str()),
        from,
        proxy,
    );
    if let Some(caller) = caller.filter(|caller| matches!(caller.kind, AuthKind::ApiKey | AuthKind::AdminApiKey)) {
        app.requests.add(Entry {
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
    // The page at /docs has inline styles; nothing else may be loaded.
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    // Answers contain memories, which a shared cache must not store.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The label of a method in the metrics. A client can invent methods, and a label stays for good.
fn method_label(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if KNOWN.contains(method) { method.as_str() } else { "other" }
}

/// The format in which the client expects errors: OpenAI's on the paths of its API, and under `/v1` if the path is unknown
/// and the client is OpenAI's.
fn error_format(request: &Request) -> ErrorFormat {
    let path = request.uri().path();
    let is_client = || {
        let is_unknown = request.extensions().get::<MatchedPath>().is_none() && path.starts_with("/v1/");
        is_unknown && request.headers().keys().any(|name| name.as_str().starts_with("x-stainless-"))
    };
    if is_openai(path) || is_client() { ErrorFormat::OpenAi } else { ErrorFormat::Mem0 }
}

/// The middleware that answers a request that takes too long.
pub(crate) async fn limit_time(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let handler = async { next.run(read_small_body(request).await).await };
    match tokio::time::timeout(app.config.request_timeout, handler).await {
        Ok(response) => response,
        Err(_) => Problem::timeout().into_response(),
    }
}

/// The largest body that is read before the request is handled, in bytes. A larger one is read by the handler.
const SMALL_BODY: usize = 64 << 10;

/// Replaces a body that is incomplete. It is not valid JSON, so it is refused.
const INCOMPLETE_BODY: &[u8] = b"\0";

/// Reads a small body completely. If a request were refused before its body was read, the connection would be closed,
/// and a client that is still sending would see that instead of the answer.
async fn read_small_body(request: Request) -> Request {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if !length.is_some_and(|length: usize| (1..=SMALL_BODY).contains(&length)) {
        return request;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, SMALL_BODY).await.unwrap_or_else(|_| INCOMPLETE_BODY.into());
    Request::from_parts(parts, body.into())
}

/// The request id that the client sends, if it is short and has only characters that are safe in a log.
fn client_request_id(request: &Request) -> Option<String> {
    let id = request.headers().get(X_REQUEST_ID)?.to_str().ok()?;
    let is_safe = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_safe.then(|| id.to_owned())
}

fn new_request_id() -> String {
    format!("{:08x}", rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_metrics_are_a_closed_set() {
        for known in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(method_label(&known.parse().unwrap()), known);
        }
        for invented in ["A1", "GETS", "get", "TRACE", "CONNECT", "PROPFIND", "X-1", "!", &"M".repeat(4000)] {
            assert_eq!(method_label(&invented.parse().unwrap()), "other", "{invented}");
        }
    }
}
