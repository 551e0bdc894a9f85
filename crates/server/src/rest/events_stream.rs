//! Server-sent events that are made while they are read.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::app::Shared;

/// Events that may wait for a slow reader.
const WAITING: usize = 64;

/// The end of the stream that is written to, from a thread that may block.
pub(super) struct Events(mpsc::Sender<String>);

impl Events {
    /// Sends an event; false once nobody reads any more.
    pub(super) fn send(&self, name: Option<&str>, data: &Value) -> bool {
        let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        self.text(format!("{name}data: {data}\n\n"))
    }

    /// Sends lines as they are.
    pub(super) fn text(&self, lines: String) -> bool {
        self.0.blocking_send(lines).is_ok()
    }
}

/// An answer whose events `write` makes, on a thread of its own.
pub(super) fn stream(app: &Shared, write: impl FnOnce(&Events) + Send + 'static) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
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
