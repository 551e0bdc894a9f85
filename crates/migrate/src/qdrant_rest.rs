//! Qdrant's REST: what gRPC has not are snapshots as files, and several changes of aliases in one step.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, redirect};
use serde_json::{Value, json};

use crate::error::{MigrateError, Result};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may be silent.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may work on a snapshot; a connection that is lost meanwhile is noticed before.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// Characters of an answer that is shown.
const MAX_SHOWN_CHARS: usize = 300;

/// A server's REST port.
pub(crate) struct QdrantRest {
    url: String,
    client: Client,
    /// For what takes as long as it takes.
    slow_client: Client,
    retries: u32,
    pause: Duration,
}

/// A snapshot as the server describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SnapshotInfo {
    pub(crate) name: String,
    pub(crate) created: Option<String>,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// A page of points and where the next begins.
pub(crate) struct Page {
    pub(crate) points: Vec<Value>,
    pub(crate) next: Option<Value>,
}

/// What came of a request for a file.
pub(crate) enum FileResponse {
    /// The file from this byte on.
    Content(u64, Response),
    /// There is no such file.
    NotFound,
    /// The file is not as long.
    RangeNotSatisfiable,
    /// Not now; the text says why.
    Unavailable(String),
}

impl QdrantRest {
    pub(crate) fn new(url: &str, api_key: Option<&str>, retries: u32, pause: Duration) -> Result<Self> {
        // Uses ring's if the program has chosen none: the client takes whichever is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = url.trim_end_matches('/').to_owned();
        let unfit =
            |reason: String| MigrateError::Unfit(format!("`{url}` is no address of Qdrant's REST port: {reason}"));
        let parsed = reqwest::Url::parse(&url).map_err(|error| unfit(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(unfit("it begins with neither http:// nor https://".into()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(unfit("it holds a user or a password; an API key is given by itself".into()));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let mut key = HeaderValue::from_str(key)
                .map_err(|_| MigrateError::Unfit("the API key holds characters that no header can".into()))?;
            key.set_sensitive(true);
            headers.insert("api-key", key);
        }
        let client = |silence: Duration| {
            Client::builder()
                .default_headers(headers.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(silence)
                .tcp_keepalive(Duration::from_secs(30))
                // The key is for this server only.
                .redirect(redirect::Policy::none())
                .build()
                .map_err(|error| unfit(root_cause(&error)))
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
        let answer = self.json(Method::GET, "/", None)?;
        let version = answer["version"].as_str().map(str::to_owned);
        version.ok_or_else(|| self.error("it answers, but not as Qdrant does: give the address of its REST port, 6333"))
    }

    /// Names of all collections.
    pub(crate) fn collections(&self) -> Result<Vec<String>> {
        let answer = self.result(Method::GET, "/collections", None)?;
        let names = answer["collections"].as_array().into_iter().flatten();
        Ok(names.filter_map(|collection| collection["name"].as_str().map(str::to_owned)).collect())
    }

    /// All aliases, as the server tells them.
    pub(crate) fn aliases(&self) -> Result<Value> {
        self.result(Method::GET, "/aliases", None)
    }

    /// Leads an alias to a collection, or removes it, in one step.
    pub(crate) fn set_alias(&self, alias: &str, to: Option<&str>) -> Result<()> {
        let there = self.aliases()?;
        let leads = there["aliases"].as_array().into_iter().flatten().any(|known| known["alias_name"] == alias);
        let mut actions = Vec::new();
        if leads {
            actions.push(json!({"delete_alias": {"alias_name": alias}}));
        }
        if let Some(to) = to {
            actions.push(json!({"create_alias": {"collection_name": to, "alias_name": alias}}));
        }
        self.result(Method::POST, "/collections/aliases", Some(&json!({"actions": actions}))).map(drop)
    }

    /// Settings and state of a collection; `None` if there is none of that name.
    pub(crate) fn collection(&self, name: &str) -> Result<Option<Value>> {
        match self.send(Method::GET, &collection_path(name, ""), None)? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, answer) => self.parse_result(status, answer).map(Some),
        }
    }

    /// Shards of a collection that this node does not hold itself.
    pub(crate) fn shards_elsewhere(&self, name: &str) -> Result<usize> {
        let answer = match self.send(Method::GET, &collection_path(name, "/cluster"), None)? {
            // Too old for clusters.
            (StatusCode::NOT_FOUND, _) => return Ok(0),
            (status, answer) => self.parse_result(status, answer)?,
        };
        let ids = |key: &str, whole: bool| -> BTreeSet<u64> {
            let shards = answer[key].as_array().into_iter().flatten();
            let whole = shards.filter(|shard| !whole || shard["state"] == "Active");
            whole.filter_map(|shard| shard["shard_id"].as_u64()).collect()
        };
        Ok(ids("remote_shards", false).union(&ids("local_shards", false)).count() - ids("local_shards", true).len())
    }

    /// Points of a collection, counted one by one.
    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let path = collection_path(name, "/points/count");
        let answer = self.result(Method::POST, &path, Some(&json!({"exact": true})))?;
        answer["count"].as_u64().ok_or_else(|| self.error(format!("its count of {name} is no number: {answer}")))
    }

    /// Points from one on, in order of their ids, with payload and vectors.
    pub(crate) fn page(&self, name: &str, limit: usize, from: Option<&Value>) -> Result<Page> {
        let mut asked = json!({"limit": limit, "with_payload": true, "with_vector": true});
        if let Some(from) = from {
            asked["offset"] = from.clone();
        }
        let mut answer = self.result(Method::POST, &collection_path(name, "/points/scroll"), Some(&asked))?;
        let Value::Array(points) = answer["points"].take() else {
            return Err(self.error(format!("a page of {name} holds no points")));
        };
        let next = Some(answer["next_page_offset"].take()).filter(|next| !next.is_null());
        Ok(Page { points, next })
    }

    /// Snapshots of a collection that are complete.
    pub(crate) fn snapshots(&self, name: &str) -> Result<Vec<SnapshotInfo>> {
        let answer = self.result(Method::GET, &collection_path(name, "/snapshots"), None)?;
        Ok(answer.as_array().into_iter().flatten().filter_map(parse_snapshot).collect())
    }

    /// Makes a snapshot and waits until it is complete. Not tried twice: the first may be at work.
    pub(crate) fn create_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        let path = collection_path(name, "/snapshots?wait=true");
        let answer = self.request(&self.slow_client, Method::POST, &path).send().and_then(status_and_body);
        let (status, answer) = answer.map_err(|error| {
            let told = root_cause(&error);
            self.error(format!(
                "the connection was lost while it made a snapshot ({told}): run it again, it looks for it"
            ))
        })?;
        let answer = self.parse_result(status, answer)?;
        parse_snapshot(&answer)
            .ok_or_else(|| self.error(format!("what it says of the new snapshot has no name: {answer}")))
    }

    /// Deletes a snapshot; whether there was one.
    pub(crate) fn delete_snapshot(&self, name: &str, snapshot: &str) -> Result<bool> {
        match self.send(
            Method::DELETE,
            &collection_path(name, &format!("/snapshots/{}?wait=true", encode_segment(snapshot))),
            None,
        )? {
            (StatusCode::NOT_FOUND, _) => Ok(false),
            (status, answer) => self.parse_result(status, answer).map(|_| true),
        }
    }

    /// Asks once for a snapshot's file from a byte on.
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
            status if is_transient(status) => Ok(FileResponse::Unavailable(format!("it answers {status}"))),
            status => match status_and_body(response) {
                Ok((status, answer)) => Err(self.rejection(status, &answer)),
                Err(_) => Err(self.rejection(status, "")),
            },
        }
    }

    /// Waits before a try after the first; false if there were enough.
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

    /// The `result` of a request.
    fn result(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.send(method, path, body)?;
        self.parse_result(status, answer)
    }

    fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.send(method, path, body)?;
        if !status.is_success() {
            return Err(self.rejection(status, &answer));
        }
        let told = || self.error(format!("it answers no JSON: is this its REST port? {}", shortened(&answer)));
        serde_json::from_str(&answer).map_err(|_| told())
    }

    fn parse_result(&self, status: StatusCode, answer: String) -> Result<Value> {
        if !status.is_success() {
            return Err(self.rejection(status, &answer));
        }
        let mut answer: Value = serde_json::from_str(&answer)
            .map_err(|_| self.error(format!("it answers no JSON: {}", shortened(&answer))))?;
        Ok(answer["result"].take())
    }

    fn rejection(&self, status: StatusCode, answer: &str) -> MigrateError {
        let told = serde_json::from_str::<Value>(answer).ok();
        let told = told.as_ref().and_then(|told| told["status"]["error"].as_str()).unwrap_or(answer);
        let told = shortened(told);
        self.error(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("it refuses ({status}: {told}): give an API key that may write, a snapshot needs one")
            }
            _ => format!("it answers {status}: {told}"),
        })
    }

    /// Sends what may be sent twice without harm, and again where nobody answered.
    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, String)> {
        let mut tries = 0;
        loop {
            let mut request = self.request(&self.client, method.clone(), path);
            if let Some(body) = body {
                request = request.json(body);
            }
            let told = match request.send().and_then(status_and_body) {
                Ok((status, answer)) if is_transient(status) => format!("it answers {status}: {}", shortened(&answer)),
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_builder() => return Err(self.error(root_cause(&error))),
                Err(error) => {
                    format!("it does not answer ({}): is this its REST port, 6333 by default?", root_cause(&error))
                }
            };
            if !self.wait_before_retry(tries) {
                return Err(self.error(told));
            }
            tries += 1;
        }
    }
}

fn status_and_body(response: Response) -> reqwest::Result<(StatusCode, String)> {
    let status = response.status();
    Ok((status, response.text()?))
}

/// What a proxy or a busy server says for a while.
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

/// As one segment of a path.
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

/// An error and its causes in one line, without the address, which is told anyway.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    // The last is the cause that says most.
    causes.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_one_segment() {
        for (name, path) in
            [("mem0", "mem0"), ("a b/c?#%", "a%20b%2Fc%3F%23%25"), ("é.x", "%C3%A9.x"), ("..", "%2E%2E")]
        {
            assert_eq!(super::encode_segment(name), path);
        }
    }
}
