//! Serves connections: accepts them, answers their requests, and stops without dropping a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use super::extract::HadTrailingSlash;
use super::unread::ReadToEnd;
use crate::config::Config;

/// Serves connections until `stop` completes, then finishes the accepted requests within the configured grace period.
pub(crate) async fn serve(listener: TcpListener, router: Router, config: &Config, stop: impl Future<Output = ()>) {
    // HTTP/1 only: its timeout for headers starts with the connection, so it also closes connections that send nothing.
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(config.max_connections));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = &mut stop => break,
        };
        let Some((stream, from, permit)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let answer = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let (parts, body) = request.into_parts();
            let body = ReadToEnd::new(Body::new(body), &parts.headers);
            let mut request = Request::from_parts(parts, Body::new(body));
            request.extensions_mut().insert(from);
            if let Some(uri) = without_trailing_slash(request.uri()) {
                *request.uri_mut() = uri;
                request.extensions_mut().insert(HadTrailingSlash);
            }
            let router = router.clone();
            async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%from, error = %error, "connection ended");
            }
            drop(permit);
        });
    }
    // No new connections from here; open ones finish their request and close.
    drop(listener);
    tracing::info!("stopping: finishing accepted requests");
    if tokio::time::timeout(config.shutdown_grace, graceful.shutdown()).await.is_err() {
        let grace = config.shutdown_grace;
        tracing::warn!(?grace, "some requests did not finish within the grace period and were aborted");
    }
}

/// The same URI without the slash at the end of its path; `None` if there is none, and for the page under /docs/, where
/// the slash matters. Only one slash is removed: `/memories//` (an empty id) must not become `/memories`.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !path.starts_with("/docs"))?;
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    format!("{path}{query}").parse().ok()
}

/// The next connection, as soon as the limit of connections allows one more.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, from, permit)),
        Err(error) => {
            // Probably out of file descriptors: a pause lets other connections end.
            tracing::warn!(%error, "could not accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
