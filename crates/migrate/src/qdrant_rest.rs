//! A client of Qdrant's REST API, for what its gRPC API lacks: snapshot files, and several alias changes in one
//! request.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, redirect};
use serde_json::{Value, json};

use crate::error::{MigrateError, Result};

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout of a request that creates a snapshot. A lost connection is detected earlier.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// The number of characters of a response that an error shows.
const MAX_SHOWN_CHARS: usize = 300;

/// A client of the REST API of one Qdrant server.
pub(crate) struct QdrantRest {
    url: String,
    client: Client,
    /// For requests that create a snapshot.
    slow_client: Client,
    retries: u32,
    pause: Duration,
}

/// What the server reports of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SnapshotInfo {
    pub(crate) name: String,
    pub(crate) created: Option<String>,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// A page of points, and the cursor of the next page.
pub(crate) struct Page {
    pub(crate) points: Vec<Value>,
    pub(crate) next: Option<Value>,
}

/// The response to a request for a file.
pub(crate) enum FileResponse {
    /// The content of the file from this byte on.
    Content(u64, Response),
    /// The file does not exist.
    NotFound,
    /// The file is shorter than the requested start.
    RangeNotSatisfiable,
    /// The server is unavailable. The text says why.
    Unavailable(String),
}

impl QdrantRest {
    pub(crate) fn new(url: &str, api_key: Option<&str>, retries: u32, pause: Duration) -> Result<Self> {
        // The client uses the process-wide provider; ring is installed unless the program has chosen another one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = url.trim_end_matches('/').to_owned();
        let invalid = |reason: String| {
            MigrateError::Invalid(format!("`{url}` is not a valid address of Qdrant's REST port: {reason}"))
        };
        let parsed = reqwest::Url::parse(&url).map_err(|error| invalid(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(invalid("it does not start with http:// or https://".into()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(invalid("it contains a user or a password; give the API key separately".into()));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let mut key = HeaderValue::from_str(key).map_err(|_| {
                MigrateError::Invalid("the API key contains characters that are not valid in an HTTP header".into())
            })?;
            key.set_sensitive(true);
            headers.insert("api-key", key);
        }
        let client = |silence: Duration| {
            Client::builder()
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(silence)
                .tcp_keepalive(Duration::from_secs(30))
                // The API key must not be sent to another server.
                .redirect(redirect::Policy::none())
                .build()
                .map_err(|error| invalid(root_cause(&error)))
        };
        let (client, slow_client) = (client(REQUEST_TIMEOUT)?, client(SNAPSHOT_TIMEOUT)?);
        Ok(Self { client, slow_client, retries, pause, url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn error(&self, reason: impl Into<String>) -> MigrateError {
        MigrateError::Server { url: self.url.clone(), reason: reason.into() }
    }

    pub(crate) fn version(&self) -> Result<String> {
        let response = self.json(Method::GET, "/", None)?;
        let version = response["version"].as_str().map(str::to_owned);
        version.ok_or_else(|| self.error("the response is not from Qdrant: give the address of its REST port, 6333"))
    }

    /// The names of all collections.
    pub(crate) fn collections(&self) -> Result<Vec<String>> {
        let response = self.result(Method::GET, "/collections", None)?;
        let names = response["collections"].as_array().into_iter().flatten();
        Ok(names.filter_map(|collection| collection["name"].as_str().map(str::to_owned)).collect())
    }

    /// All aliases, as the server returns them.
    pub(crate) fn aliases(&self) -> Result<Value> {
        self.result(Method::GET, "/aliases", None)
    }

    /// Sets the collection of an alias, or removes the alias, in one request.
    pub(crate) fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<()> {
        let aliases = self.aliases()?;
        let exists = aliases["aliases"].as_array().into_iter().flatten().any(|known| known["alias_name"] == alias);
        let mut actions = Vec::new();
        if exists {
            actions.push(json!({"delete_alias": {"alias_name": alias}}));
        }
        if let Some(to) = to {
            actions.push(json!({"create_alias": {"collection_name": to, "alias_name": alias}}));
        }
        self.result(Method::POST, "/collections/aliases", Some(&json!({"actions": actions}))).map(drop)
    }

    /// The settings and state of a collection; `None` if it does not exist.
    pub(crate) fn collection(&self, name: &str) -> Result<Option<Value>> {
        match self.send(Method::GET, &collection_path(name, ""), None)? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, response) => self.parse_result(status, response).map(Some),
        }
    }

    /// The number of shards of a collection that are not active on this node.
    pub(crate) fn shards_elsewhere(&self, name: &str) -> Result<usize> {
        let response = match self.send(Method::GET, &collection_path(name, "/cluster"), None)? {
            // A version without clusters.
            (StatusCode::NOT_FOUND, _) => return Ok(0),
            (status, response) => self.parse_result(status, response)?,
        };
        let ids = |key: &str, active_only: bool| -> BTreeSet<u64> {
            let shards = response[key].as_array().into_iter().flatten();
            let shards = shards.filter(|shard| !active_only || shard["state"] == "Active");
            shards.filter_map(|shard| shard["shard_id"].as_u64()).collect()
        };
        Ok(ids("remote_shards", false).union(&ids("local_shards", false)).count() - ids("local_shards", true).len())
    }

    /// The exact number of points of a collection.
    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let path = collection_path(name, "/points/count");
        let response = self.result(Method::POST, &path, Some(&json!({"exact": true})))?;
        response["count"].as_u64().ok_or_else(|| self.error(format!("the count of {name} is not a number: {response}")))
    }

    /// A page of points beginning at `from`, sorted by id, with payload and vectors.
    pub(crate) fn page(&self, name: &str, limit: usize, from: Option<&Value>) -> Result<Page> {
        let mut request = json!({"limit": limit, "with_payload": true, "with_vector": true});
        if let Some(from) = from {
            request["offset"] = from.clone();
        }
        let mut response = self.result(Method::POST, &collection_path(name, "/points/scroll"), Some(&request))?;
        let Value::Array(points) = response["points"].take() else {
            return Err(self.error(format!("a page of {name} has no list of points")));
        };
        let next = Some(response["next_page_offset"].take()).filter(|next| !next.is_null());
        Ok(Page { points, next })
    }

    /// The complete snapshots of a collection.
    pub(crate) fn snapshots(&self, name: &str) -> Result<Vec<SnapshotInfo>> {
        let response = self.result(Method::GET, &collection_path(name, "/snapshots"), None)?;
        Ok(response.as_array().into_iter().flatten().filter_map(parse_snapshot).collect())
    }

    /// Creates a snapshot and waits until it is complete. Not retried: the server may still be working on the first
    /// request.
    pub(crate) fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        let path = collection_path(name, "/snapshots?wait=true");
        let response = self.request(&self.slow_client, Method::POST, &path).send().and_then(status_and_body);
        let (status, response) = response.map_err(|error| {
            let reason = root_cause(&error);
            self.error(format!(
                "the connection was lost while the server made a snapshot ({reason}): run it again, it will find the snapshot"
            ))
        })?;
        let response = self.parse_result(status, response)?;
        parse_snapshot(&response)
            .ok_or_else(|| self.error(format!("the response for the new snapshot has no name: {response}")))
    }

    /// Deletes a snapshot. Returns whether it existed.
    pub(crate) fn delete_snapshot(&self, name: &str, snapshot: &str) -> Result<bool> {
        match self.send(
            Method::DELETE,
            &collection_path(name, &format!("/snapshots/{}?wait=true", encode_segment(snapshot))),
            None,
        )? {
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, response) => self.parse_result(status, response).map(|_| true),
        }
    }

    /// Requests the file of a snapshot from a byte on. Not retried.
    pub(crate) fn open_snapshot(&self, name: &str, snapshot: &str, from: u64) -> Result<FileResponse> {
        let path = collection_path(name, &format!("/snapshots/{}", encode_segment(snapshot)));
        let mut request = self.request(&self.client, Method::GET, &path);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) => return Ok(FileResponse::Unavailable(root_cause(&error))),
        };
        match response.status() {
            StatusCode::OK => Ok(FileResponse::Content(0, response)),
            StatusCode::PARTIAL_CONTENT => {
                let begins = response.headers().get("content-range").and_then(|range| range.to_str().ok());
                let begins = begins.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                Ok(FileResponse::Content(begins.unwrap_or(from), response))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(FileResponse::RangeNotSatisfiable),
            StatusCode::NOT_FOUND => Ok(FileResponse::NotFound),
            status if is_transient(status) => Ok(FileResponse::Unavailable(format!("the server returned {status}"))),
            status => match status_and_body(response) {
                Ok((status, response)) => Err(self.rejection(status, &response)),
                Err(_) => Err(self.rejection(status, "")),
            },
        }
    }

    /// Waits before the next try. Returns false if there have been enough tries.
    pub(crate) fn wait_before_retry(&self, tries: u32) -> bool {
        if tries >= self.retries {
            return false;
        }
        std::thread::sleep(self.pause.saturating_mul(1 << tries.min(10)).min(MAX_PAUSE));
        true
    }

    fn request(&self, client: &Client, method: Method, path: &str) -> RequestBuilder {
        client.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request and returns the `result` of the response.
    fn result(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, response) = self.send(method, path, body)?;
        self.parse_result(status, response)
    }

    fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, response) = self.send(method, path, body)?;
        if !status.is_success() {
            return Err(self.rejection(status, &response));
        }
        serde_json::from_str(&response).map_err(|_| {
            self.error(format!("the response is not JSON: is this the REST port? {}", shortened(&response)))
        })
    }

    fn parse_result(&self, status: StatusCode, response: String) -> Result<Value> {
        if !status.is_success() {
            return Err(self.rejection(status, &response));
        }
        let mut response: Value = serde_json::from_str(&response)
            .map_err(|_| self.error(format!("the response is not JSON: {}", shortened(&response))))?;
        Ok(response["result"].take())
    }

    fn rejection(&self, status: StatusCode, response: &str) -> MigrateError {
        let body = serde_json::from_str::<Value>(response).ok();
        let reason = body.as_ref().and_then(|body| body["status"]["error"].as_str()).unwrap_or(response);
        let reason = shortened(reason);
        self.error(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("access denied ({status}: {reason}): give an API key with write access, which snapshots need")
            }
            _ => format!("the server returned {status}: {reason}"),
        })
    }

    /// Sends an idempotent request, and retries it if there is no response.
    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, String)> {
        let mut tries = 0;
        loop {
            let mut request = self.request(&self.client, method.clone(), path);
            if let Some(body) = body {
                request = request.json(body);
            }
            let reason = match request.send().and_then(status_and_body) {
                Ok((status, response)) if is_transient(status) => {
                    format!("the server returned {status}: {}", shortened(&response))
                }
                Ok(response) => return Ok(response),
                Err(error) if error.is_builder() => return Err(self.error(root_cause(&error))),
                Err(error) => {
                    format!("no response ({}): is this the REST port, 6333 by default?", root_cause(&error))
                }
            };
            if !self.wait_before_retry(tries) {
                return Err(self.error(reason));
            }
            tries += 1;
        }
    }
}

fn status_and_body(response: Response) -> reqwest::Result<(StatusCode, String)> {
    let status = response.status();
    Ok((status, response.text()?))
}

/// A status of a proxy or a busy server that a retry can succeed after.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504)
}

fn parse_snapshot(snapshot: &Value) -> Option<SnapshotInfo> {
    Some(SnapshotInfo {
        name: snapshot["name"].as_str()?.to_owned(),
        created: snapshot["creation_time"].as_str().map(str::to_owned),
        bytes: snapshot["size"].as_u64(),
        sha256: snapshot["checksum"].as_str().filter(|sum| sum.len() == 64).map(str::to_ascii_lowercase),
    })
}

fn collection_path(name: &str, rest: &str) -> String {
    format!("/collections/{}{rest}", encode_segment(name))
}

/// Encodes a name as one segment of a URL path.
fn encode_segment(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && !matches!(name, "." | "..")) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The last of the causes of an error, which says most.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_encoded_as_one_segment() {
        for (name, path) in
            [("mem0", "mem0"), ("a b/c?#%", "a%20b%2Fc%3F%23%25"), ("é.x", "%C3%A9.x"), ("..", "%2E%2E")]
        {
            assert_eq!(super::encode_segment(name), path);
        }
    }
}
