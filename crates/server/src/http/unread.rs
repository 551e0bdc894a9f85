//! The rest of a body that nobody reads. A client that is still sending when its connection closes shows a broken pipe in
//! place of the answer, so the rest is read and dropped, within limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};

/// Most bytes that are read of a body that nobody wants.
const MAX_BYTES: usize = 256 << 20;
/// Longest time that is spent on it.
const MAX_TIME: Duration = Duration::from_secs(10);

/// A request body. When it is dropped before its end, a task reads the rest.
pub(super) struct ReadToEnd {
    /// `None` after the end or an error.
    body: Option<Body>,
    /// The client sends the body only after the server asks for it, which reading does: then nobody may read the rest.
    awaits_continue: bool,
}

impl ReadToEnd {
    pub(super) fn new(body: Body, headers: &HeaderMap) -> Self {
        let expects =
            headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Self { body: Some(body).filter(|body| !body.is_end_stream()), awaits_continue: expects }
    }
}

impl HttpBody for ReadToEnd {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.awaits_continue = false;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for ReadToEnd {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.awaits_continue && !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(MAX_TIME, read(body)));
        }
    }
}

async fn read(body: Body) {
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(data)) = stream.next().await {
        bytes += data.len();
        if bytes > MAX_BYTES {
            break;
        }
    }
}
