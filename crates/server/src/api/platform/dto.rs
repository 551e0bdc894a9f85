//! Memories and pages in the format of the hosted platform.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use jiff::Timestamp;
use mnemon_engine::{Explanation, Replacement, SearchHit};
use mnemon_store::{Memory, MemoryId, keys};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::answer;
use crate::error::Problem;
use crate::forwarded::Client;
use crate::http::extract::usize_or_text;

/// The time of the message, RFC 3339. It is the event time of the memory; older versions stored it among the metadata, too.
pub(super) const TIMESTAMP: &str = "timestamp";
/// The keys that a memory's owner is named by.
pub(super) const ENTITY_KEYS: [&str; 4] = ["user_id", "agent_id", "app_id", "run_id"];

/// Most items in a list of a request.
pub(super) const MAX_ITEMS: usize = 1000;

/// A memory. If `fields` were requested, only these and the id.
#[derive(ToSchema)]
#[schema(as = PlatformMemory)]
#[expect(dead_code, reason = "only describes the wire format")]
pub(crate) struct MemoryDoc {
    /// A UUID; may be a number if another program stored the memory.
    id: String,
    /// The text.
    memory: Option<String>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<String>,
    run_id: Option<Value>,
    /// The same as `run_id`.
    session_id: Option<Value>,
    /// The name of the speaker.
    actor_id: Option<Value>,
    /// The role of the speaker: `user` or `assistant`.
    role: Option<Value>,
    /// MD5 of the text.
    hash: Option<Value>,
    /// The metadata.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    categories: Option<Vec<String>>,
    /// Whether changes are refused.
    immutable: Option<bool>,
    #[schema(value_type = Option<Object>)]
    structured_attributes: Option<Map<String, Value>>,
    /// The id of the newer memory that supersedes this one; null if there is none.
    replaced_by: Option<String>,
    /// The ids of the older memories that this one supersedes, the last ones first, if there are any.
    replaces: Option<Vec<String>>,
    /// Always false: the server does not synthesize memories.
    synthesized: Option<bool>,
    /// The last day on which the memory is shown, a day of UTC.
    expiration_date: Option<Value>,
    /// The time of the message, RFC 3339.
    timestamp: Option<String>,
    /// The same as `timestamp`, or when the memory was stored if it has none.
    created_at: Option<Value>,
    updated_at: Option<Value>,
    /// The pieces whose mean the vector is; only of a memory whose text was not embedded as a whole.
    vector_pieces: Option<u64>,
    /// The pieces that the embedder refused or did not read; only if there are any.
    vector_left_out: Option<u64>,
    /// From 0 to 1; of searches only.
    score: Option<f32>,
    /// The components of the score; of searches only.
    score_breakdown: Option<ScoreBreakdown>,
}

/// The components of a score.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScoreBreakdown {
    /// Cosine similarity of query and memory.
    semantic: f32,
    /// BM25 score of the memory's text.
    bm25: f32,
    /// Added for shared entities.
    entity: f32,
}

/// A memory, as JSON.
pub(super) fn memory_json(memory: &Memory) -> Map<String, Value> {
    let map = memory.payload.as_map();
    let value = |key: &str| map.get(key).cloned().unwrap_or_default();
    let metadata: Map<String, Value> = memory
        .payload
        .metadata()
        .filter(|(key, value)| !is_old_timestamp(memory, key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let time = |key: &str| memory.payload.shown_time(key).unwrap_or_default();
    let said = memory.provenance.event_time.map(|time| Value::from(time.to_string()));
    let fields = json!({
        "id": memory.id.to_string(),
        "memory": memory.payload.text(),
        "user_id": value("user_id"),
        "agent_id": value("agent_id"),
        "app_id": value(keys::APP_ID),
        "run_id": value("run_id"),
        "session_id": value("run_id"),
        "actor_id": value(keys::ACTOR_ID),
        "role": value(keys::ROLE),
        "hash": value(keys::HASH),
        "metadata": metadata,
        "categories": map.get(keys::CATEGORIES).cloned().unwrap_or_else(|| json!([])),
        "immutable": memory.payload.is_immutable(),
        "structured_attributes": value(keys::STRUCTURED_ATTRIBUTES),
        "replaced_by": null,
        "synthesized": false,
        "expiration_date": value(keys::EXPIRATION_DATE),
        "timestamp": said.clone(),
        "created_at": said.unwrap_or_else(|| time(keys::CREATED_AT)),
        "updated_at": time(keys::UPDATED_AT),
    });
    let Value::Object(mut fields) = fields else { return Map::new() };
    for key in [keys::VECTOR_PIECES, keys::VECTOR_LEFT_OUT] {
        if let Some(value) = map.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    fields
}

/// Whether a key of a memory's metadata is a timestamp that an older version stored beside the same event time.
pub(super) fn is_old_timestamp(memory: &Memory, key: &str, value: &Value) -> bool {
    if key != TIMESTAMP {
        return false;
    }
    let time: Option<Timestamp> = value.as_str().and_then(|text| text.parse().ok());
    let event_time = memory.provenance.event_time.map(Timestamp::as_microsecond);
    time.is_some() && time.map(Timestamp::as_microsecond) == event_time
}

/// A search result, as JSON.
pub(super) fn hit_json(hit: &SearchHit) -> Map<String, Value> {
    let mut fields = memory_json(&hit.memory);
    fields.insert("score".into(), json!(hit.score));
    insert_replacement(&mut fields, hit.superseded_by, &hit.supersedes);
    if let Some(explanation) = &hit.explanation {
        fields.insert("score_breakdown".into(), json!(breakdown(explanation)));
    }
    fields
}

/// A memory with the facts before and after it.
pub(super) fn linked_json(memory: &Memory, replacements: &HashMap<MemoryId, Replacement>) -> Map<String, Value> {
    let mut fields = memory_json(memory);
    if let Some(found) = replacements.get(&memory.id) {
        insert_replacement(&mut fields, found.superseded_by, &found.supersedes);
    }
    fields
}

fn insert_replacement(fields: &mut Map<String, Value>, superseded_by: Option<MemoryId>, supersedes: &[MemoryId]) {
    if let Some(by) = superseded_by {
        fields.insert("replaced_by".into(), by.to_string().into());
    }
    if !supersedes.is_empty() {
        fields.insert("replaces".into(), supersedes.iter().map(ToString::to_string).collect());
    }
}

fn breakdown(explanation: &Explanation) -> ScoreBreakdown {
    ScoreBreakdown { semantic: explanation.closeness(), bm25: explanation.bm25(), entity: explanation.entity_boost() }
}

/// Notes the names of `fields` that no memory has.
pub(super) fn note_unknown_fields(fields: Option<&[String]>) {
    static KNOWN: LazyLock<Value> = LazyLock::new(|| json!(MemoryDoc::schema())["properties"].clone());
    for field in fields.unwrap_or_default().iter().filter(|field| KNOWN.get(field.as_str()).is_none()) {
        answer::ignore(&format!("fields.{field}"));
    }
}

/// Only these fields and the id; all fields if none are named.
pub(super) fn select_fields(mut memory: Map<String, Value>, fields: Option<&[String]>) -> Map<String, Value> {
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        memory.retain(|key, _| key == "id" || fields.iter().any(|field| field == key));
    }
    memory
}

/// Whether an answer is an object, by the `output_format` of the request: `v1.1` is an object, `v1.0` a list. Without one,
/// and for an unknown one, which the answer names as ignored, `default` decides. If that is an object, there is no list.
pub(super) fn wants_object(output_format: Option<&str>, default: bool) -> bool {
    match output_format {
        Some("v1.1") => true,
        Some("v1.0") if !default => false,
        Some(_) => {
            answer::ignore("output_format");
            default
        }
        None => default,
    }
}

/// Refuses a list with more than [`MAX_ITEMS`] items.
pub(super) fn check_length<T>(name: &str, items: &[T]) -> Result<(), Problem> {
    if items.len() > MAX_ITEMS {
        return Err(Problem::bad_request(format!(
            "{name}: has {} items; at most {MAX_ITEMS} are allowed",
            items.len()
        )));
    }
    Ok(())
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Paged<T> {
    /// Number of items on all pages.
    pub(super) count: usize,
    /// The URL of the next page; null on the last page.
    pub(super) next: Option<String>,
    /// The URL of the previous page; null on the first page.
    pub(super) previous: Option<String>,
    pub(super) results: Vec<T>,
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The number of the page, from 1.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1)]
    pub(super) page: Option<usize>,
    /// Page size, 1 to 1000; default 100, or 1000 for entities.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1, maximum = 1000)]
    pub(super) page_size: Option<usize>,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageNumber {
    /// The number of the page, from 1.
    pub(super) page: usize,
    /// Items per page.
    pub(super) size: usize,
}

impl PageNumber {
    /// A page as it was requested.
    pub(super) fn new(page: Option<usize>, size: Option<usize>, default: usize) -> Result<Self, Problem> {
        let page = page.unwrap_or(1);
        let size = size.unwrap_or(default);
        if page == 0 {
            return Err(Problem::bad_request("page: must be 1 or more"));
        }
        if !(1..=MAX_ITEMS).contains(&size) {
            return Err(Problem::bad_request(format!("page_size: must be 1 to {MAX_ITEMS}")));
        }
        if page.checked_mul(size).is_none_or(|end| end > i64::MAX as usize) {
            return Err(Problem::bad_request("page: is out of range"));
        }
        Ok(Self { page, size })
    }

    /// Number of items on the pages before.
    pub(super) fn offset(self) -> usize {
        (self.page - 1) * self.size
    }

    /// The number of items of a complete list, and the items of this page.
    pub(super) fn slice<T>(self, items: Vec<T>) -> (usize, Vec<T>) {
        (items.len(), items.into_iter().skip(self.offset()).take(self.size).collect())
    }
}

/// The URL of a request, from which the URLs of other pages are made.
pub(crate) struct RequestUrl {
    uri: Uri,
    /// The part before the path, as the client calls the server.
    base: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for RequestUrl {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self {
            uri: parts.uri.clone(),
            base: parts.extensions.get::<Client>().and_then(|client| client.base_url.clone()),
        })
    }
}

impl RequestUrl {
    /// A page of a list with `count` items.
    pub(super) fn page<T>(&self, page: PageNumber, count: usize, results: Vec<T>) -> Paged<T> {
        let last = count.div_ceil(page.size).max(1);
        Paged {
            count,
            next: (page.page < last).then(|| self.url(page, page.page + 1)),
            previous: (page.page > 1).then(|| self.url(page, (page.page - 1).min(last))),
            results,
        }
    }

    fn url(&self, page: PageNumber, number: usize) -> String {
        let others = self.uri.query().unwrap_or_default().split('&').filter(|pair| {
            let key = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && key != "page" && key != "page_size"
        });
        let mut query: Vec<String> = others.map(str::to_owned).collect();
        query.push(format!("page={number}"));
        query.push(format!("page_size={}", page.size));
        let path = self.uri.path().trim_end_matches('/');
        format!("{}{path}/?{}", self.base.as_deref().unwrap_or_default(), query.join("&"))
    }
}

/// A memory id, as a string or a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum IdText {
    Text(String),
    Number(u64),
}

impl IdText {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// One string or several. One string may be a list with commas.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
            Self::Many(items) => items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_url(uri: &str, base: Option<&str>) -> RequestUrl {
        RequestUrl { uri: uri.parse().unwrap(), base: base.map(str::to_owned) }
    }

    #[test]
    fn pages_have_the_urls_of_the_next_and_previous_page() {
        let page = |number, size| PageNumber { page: number, size };
        let first = request_url("/v1/entities?page=1&x=1", Some("http://a:1")).page(page(1, 2), 5, vec![1, 2]);
        assert_eq!(first.next.as_deref(), Some("http://a:1/v1/entities/?x=1&page=2&page_size=2"));
        assert_eq!(first.previous, None);
        let last = request_url("/v1/entities", None).page(page(3, 2), 5, vec![5]);
        assert_eq!((last.next, last.previous.as_deref()), (None, Some("/v1/entities/?page=2&page_size=2")));
        let beyond = request_url("/v1/entities", None).page(page(9, 2), 5, Vec::<u8>::new());
        assert_eq!(beyond.previous.as_deref(), Some("/v1/entities/?page=3&page_size=2"));
        for (number, size) in [(0, 1), (1, 0), (1, 1001), (usize::MAX, 2)] {
            assert!(PageNumber::new(Some(number), Some(size), 100).is_err());
        }
    }
}
