//! A small HTTP client, for tests that look at a server directly.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Gets JSON from a URL.
///
/// # Errors
/// If the server does not answer, or answers with another status than 2xx or with invalid JSON.
pub fn get(url: &str) -> std::io::Result<Value> {
    json(url, "GET", None)
}

/// Puts JSON and returns the answer.
///
/// # Errors
/// As [`get`].
pub fn put(url: &str, body: &Value) -> std::io::Result<Value> {
    json(url, "PUT", Some(body))
}

/// Posts JSON and returns the answer.
///
/// # Errors
/// As [`get`].
pub fn post(url: &str, body: &Value) -> std::io::Result<Value> {
    json(url, "POST", Some(body))
}

/// Sends DELETE to a URL and returns the answer.
///
/// # Errors
/// As [`get`].
pub fn delete(url: &str) -> std::io::Result<Value> {
    json(url, "DELETE", None)
}

/// Sends a request and returns the status and the JSON of the answer.
///
/// # Errors
/// If the server does not answer, closes the connection during its answer, or answers with invalid JSON.
pub fn call(method: &str, url: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let (status, answer) = exchange(method, url, "application/json", body.as_bytes())?;
    Ok((status, parse(&answer)?))
}

fn json(url: &str, method: &str, body: Option<&Value>) -> std::io::Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let answer = request(method, url, "application/json", body.as_bytes())?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> std::io::Result<Value> {
    serde_json::from_slice(answer).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Sends a request and returns the body of the answer; another status than 2xx is an error.
pub(crate) fn request(method: &str, url: &str, content_type: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let (status, body) = exchange(method, url, content_type, body)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Error::other(format!("{method} {url}: {status} {}", String::from_utf8_lossy(&body))))
}

/// Sends a request and returns the status and body of the answer. It uses HTTP/1.0, in which the answer ends with the
/// connection.
fn exchange(method: &str, url: &str, content_type: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| Error::other(format!("not an http URL: {url}")))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let length = body.len();
    let head = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end + 4);
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::InvalidData)?, body))
}
