//! The events of a streamed response: server-sent events, or a JSON object on each line.

use eventsource_stream::Eventsource;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

/// The data of each event, or why the stream broke off.
pub(super) type Events = BoxStream<'static, Result<String, String>>;

/// The events of a response, up to `max_bytes` of it.
///
/// # Errors
/// The response itself if it is not a stream.
pub(super) fn events(response: Response, max_bytes: usize) -> Result<Events, Box<Response>> {
    let content_type =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let are_lines = content_type.contains("ndjson");
    if !are_lines && !content_type.contains("event-stream") {
        return Err(Box::new(response));
    }
    let mut room = max_bytes;
    let bytes = response
        .bytes_stream()
        .take_while(move |chunk| {
            room = room.saturating_sub(chunk.as_ref().map_or(0, |chunk| chunk.len()));
            std::future::ready(room > 0)
        })
        .boxed();
    Ok(if are_lines {
        line_events(bytes).boxed()
    } else {
        bytes.eventsource().map(|event| event.map(|e| e.data).map_err(|error| error.to_string())).boxed()
    })
}

/// The lines of a stream as they arrive, without blank ones.
fn line_events<B: AsRef<[u8]>>(
    bytes: impl Stream<Item = reqwest::Result<B>>,
) -> impl Stream<Item = Result<String, String>> {
    let mut held = Vec::new();
    let end = stream::iter([None]);
    bytes.map(Some).chain(end).flat_map(move |chunk| {
        let mut lines = Vec::new();
        match chunk {
            Some(Ok(chunk)) => {
                held.extend_from_slice(chunk.as_ref());
                while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    lines.push(Ok(String::from_utf8_lossy(&line).trim().to_owned()));
                }
            }
            Some(Err(error)) => lines.push(Err(error.to_string())),
            None => lines.push(Ok(String::from_utf8_lossy(&std::mem::take(&mut held)).trim().to_owned())),
        }
        lines.retain(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
        stream::iter(lines)
    })
}
