//! Answers as a stream of server-sent events.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::service::AppState;

/// The sending end of a stream. Sending never blocks: it may happen on a thread that reads from the language model, and
/// an answer is small.
pub(super) struct Events(mpsc::UnboundedSender<String>);

impl Events {
    /// Sends an event; false if the client has disconnected.
    pub(super) fn send(&self, name: Option<&str>, data: &Value) -> bool {
        let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        self.send_raw(format!("{name}data: {data}\n\n"))
    }

    /// Sends lines as they are; false if the client has disconnected.
    pub(super) fn send_raw(&self, lines: String) -> bool {
        self.0.send(lines).is_ok()
    }
}

/// An answer with the events that `write` sends; it runs on a separate thread.
pub(super) fn stream(app: &AppState, write: impl FnOnce(&Events) + Send + 'static) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    let app = app.clone();
    tokio::spawn(async move { app.blocking_on_model(move || write(&Events(sender))).await });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async {
        let event = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(event), receiver))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Otherwise proxies may buffer the whole answer.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
