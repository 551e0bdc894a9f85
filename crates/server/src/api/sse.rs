//! Server-sent events that are made while they are read.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::service::app::Shared;

/// The end of the stream that is written to. Writing never waits: it may happen on a thread of a client that waits for
/// the next piece, and an answer is not long.
pub(super) struct Events(mpsc::UnboundedSender<String>);

impl Events {
    /// Sends an event; false once nobody reads any more.
    pub(super) fn send(&self, name: Option<&str>, data: &Value) -> bool {
        let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        self.text(format!("{name}data: {data}\n\n"))
    }

    /// Sends lines as they are.
    pub(super) fn text(&self, lines: String) -> bool {
        self.0.send(lines).is_ok()
    }
}

/// An answer whose events `write` makes, on a thread of its own.
pub(super) fn stream(app: &Shared, write: impl FnOnce(&Events) + Send + 'static) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    let app = app.clone();
    tokio::spawn(async move { app.thinking(move || write(&Events(sender))).await });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async {
        let event = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(event), receiver))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather an answer before they pass it on would undo it.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
