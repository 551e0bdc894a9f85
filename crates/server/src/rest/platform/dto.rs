//! How the hosted platform writes a memory and a page.

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use mnemon_engine::{Explanation, SearchHit};
use mnemon_store::{Memory, keys};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::body::count;
use crate::error::Problem;
pub(super) use crate::memories::IMMUTABLE;

/// The app a memory was made in; no part of its owner.
pub(super) const APP_ID: &str = "app_id";
/// A memory's categories.
pub(super) const CATEGORIES: &str = "categories";
/// When it was said, RFC 3339.
pub(super) const TIMESTAMP: &str = "timestamp";
/// What the caller found in it.
pub(super) const STRUCTURED_ATTRIBUTES: &str = "structured_attributes";

/// Keys that the platform writes beside `metadata`, and stores among it.
pub(super) const PLATFORM_KEYS: [&str; 5] = [APP_ID, CATEGORIES, IMMUTABLE, TIMESTAMP, STRUCTURED_ATTRIBUTES];

/// Most items of a list in a request.
pub(super) const MAX_ITEMS: usize = 1000;

/// A memory. Where `fields` were asked for, only those and the id.
#[derive(ToSchema)]
#[schema(as = PlatformMemory)]
#[expect(dead_code, reason = "only describes the wire")]
pub(crate) struct MemoryDoc {
    /// A UUID; a number for memories of other writers.
    id: String,
    /// The text.
    memory: Option<String>,
    user_id: Option<Value>,
    agent_id: Option<Value>,
    app_id: Option<String>,
    run_id: Option<Value>,
    /// The same as `run_id`.
    session_id: Option<Value>,
    /// Who spoke, by name.
    actor_id: Option<Value>,
    /// Who spoke: `user`, `assistant`.
    role: Option<Value>,
    /// MD5 of the text.
    hash: Option<Value>,
    /// The caller's own keys.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    categories: Option<Vec<String>>,
    /// Whether it may not be changed.
    immutable: Option<bool>,
    #[schema(value_type = Option<Object>)]
    structured_attributes: Option<Map<String, Value>>,
    /// In searches: id of the newer fact that replaces this one. Null otherwise.
    replaced_by: Option<String>,
    /// Always false: nothing is synthesized.
    synthesized: Option<bool>,
    /// The last day it is shown.
    expiration_date: Option<Value>,
    /// When it was said, RFC 3339.
    timestamp: Option<String>,
    /// The same as `timestamp`; when it was stored, where none was given.
    created_at: Option<Value>,
    updated_at: Option<Value>,
    /// 0 ..= 1; of searches only.
    score: Option<f32>,
    /// Why it was found; of searches only.
    score_breakdown: Option<ScoreBreakdown>,
}

/// What a score is made of.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScoreBreakdown {
    /// Cosine of question and memory.
    semantic: f32,
    /// BM25 of the memory's own words.
    bm25: f32,
    /// What shared entities add.
    entity: f32,
}

/// A memory, as JSON.
pub(super) fn memory(memory: &Memory) -> Map<String, Value> {
    let map = memory.payload.as_map();
    let value = |key: &str| map.get(key).cloned().unwrap_or_default();
    let metadata: Map<String, Value> = memory
        .payload
        .metadata()
        .filter(|(key, value)| *key != "id" && !is_promoted(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let promoted = |key: &str| map.get(key).filter(|value| is_promoted(key, value)).cloned();
    let fields = json!({
        "id": memory.id.to_string(),
        "memory": memory.payload.text(),
        "user_id": value("user_id"),
        "agent_id": value("agent_id"),
        "app_id": promoted(APP_ID),
        "run_id": value("run_id"),
        "session_id": value("run_id"),
        "actor_id": value(keys::ACTOR_ID),
        "role": value(keys::ROLE),
        "hash": value(keys::HASH),
        "metadata": metadata,
        "categories": promoted(CATEGORIES).unwrap_or_else(|| json!([])),
        "immutable": promoted(IMMUTABLE).unwrap_or(false.into()),
        "structured_attributes": promoted(STRUCTURED_ATTRIBUTES),
        "replaced_by": null,
        "synthesized": false,
        "expiration_date": value(keys::EXPIRATION_DATE),
        "timestamp": promoted(TIMESTAMP),
        "created_at": promoted(TIMESTAMP).unwrap_or_else(|| value(keys::CREATED_AT)),
        "updated_at": value(keys::UPDATED_AT),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Whether a payload's value is what the platform writes under this key. Others' values stay metadata.
pub(super) fn is_promoted(key: &str, value: &Value) -> bool {
    match key {
        APP_ID | TIMESTAMP => value.is_string(),
        CATEGORIES => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        IMMUTABLE => value.is_boolean(),
        STRUCTURED_ATTRIBUTES => value.is_object(),
        _ => false,
    }
}

/// A memory that was found.
pub(super) fn hit(hit: &SearchHit) -> Map<String, Value> {
    let mut fields = memory(&hit.memory);
    fields.insert("score".into(), json!(hit.score));
    if let Some(by) = hit.superseded_by {
        fields.insert("replaced_by".into(), by.to_string().into());
    }
    if let Some(why) = &hit.explanation {
        fields.insert("score_breakdown".into(), json!(breakdown(why)));
    }
    fields
}

fn breakdown(why: &Explanation) -> ScoreBreakdown {
    let value = |name: &str| why.signals.iter().find(|signal| signal.name == name).map(|signal| signal.value);
    ScoreBreakdown {
        semantic: value("semantic").or_else(|| value("dense")).unwrap_or_default(),
        bm25: value("bm25").or_else(|| value("text")).or_else(|| value("text_sum")).unwrap_or_default(),
        entity: value("entity_boost").unwrap_or_default(),
    }
}

/// Only these fields, and the id.
pub(super) fn project(mut memory: Map<String, Value>, fields: Option<&[String]>) -> Map<String, Value> {
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        memory.retain(|key, _| key == "id" || fields.iter().any(|field| field == key));
    }
    memory
}

/// A list in a request that is not too long.
pub(super) fn limited<T>(name: &str, items: &[T]) -> Result<(), Problem> {
    if items.len() > MAX_ITEMS {
        return Err(Problem::bad_request(format!("{name}: {} items; give at most {MAX_ITEMS}", items.len())));
    }
    Ok(())
}

/// Some items of a list, and where the others are.
#[derive(Serialize, ToSchema)]
pub(crate) struct Paged<T> {
    /// Items on all pages.
    pub(super) count: usize,
    /// The address of the next page; null on the last.
    pub(super) next: Option<String>,
    /// The address of the page before; null on the first.
    pub(super) previous: Option<String>,
    pub(super) results: Vec<T>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// From 1.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 1)]
    pub(super) page: Option<usize>,
    /// 1 ..= 1000; if absent 100, and 1000 for entities.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 1, maximum = 1000)]
    pub(super) page_size: Option<usize>,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageOf {
    /// From 1.
    pub(super) page: usize,
    /// Items a page.
    pub(super) size: usize,
}

impl PageOf {
    /// Page and size as they were asked for.
    pub(super) fn new(page: Option<usize>, size: Option<usize>, default: usize) -> Result<Self, Problem> {
        let page = page.unwrap_or(1);
        let size = size.unwrap_or(default);
        if page == 0 {
            return Err(Problem::bad_request("page: pages are counted from 1"));
        }
        if !(1..=MAX_ITEMS).contains(&size) {
            return Err(Problem::bad_request(format!("page_size: a page holds 1 to {MAX_ITEMS} items")));
        }
        if page.checked_mul(size).is_none_or(|end| end > i64::MAX as usize) {
            return Err(Problem::bad_request("page: there are no so many"));
        }
        Ok(Self { page, size })
    }

    /// Items before it.
    pub(super) fn offset(self) -> usize {
        (self.page - 1) * self.size
    }

    /// The page of a list that is all there.
    pub(super) fn of<T>(self, items: Vec<T>) -> (usize, Vec<T>) {
        (items.len(), items.into_iter().skip(self.offset()).take(self.size).collect())
    }
}

/// Where a request went, to tell the addresses of other pages.
pub(crate) struct Here {
    uri: Uri,
    base: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Here {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self { uri: parts.uri.clone(), base: base(&parts.headers, &parts.uri) })
    }
}

/// The scheme and host that the caller knows the server by.
fn base(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()))?;
    let scheme = match headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok()) {
        Some("https") => "https",
        _ => "http",
    };
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    plain.then(|| format!("{scheme}://{host}"))
}

impl Here {
    /// Wraps a page of a list of `count` items.
    pub(super) fn page<T>(&self, page: PageOf, count: usize, results: Vec<T>) -> Paged<T> {
        let last = count.div_ceil(page.size).max(1);
        Paged {
            count,
            next: (page.page < last).then(|| self.address(page, page.page + 1)),
            previous: (page.page > 1).then(|| self.address(page, (page.page - 1).min(last))),
            results,
        }
    }

    fn address(&self, page: PageOf, number: usize) -> String {
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

/// An id as text or number, as clients write memory ids.
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

/// One text or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
            Self::Many(items) => items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(uri: &str, base: Option<&str>) -> Here {
        Here { uri: uri.parse().unwrap(), base: base.map(str::to_owned) }
    }

    #[test]
    fn pages_tell_where_their_neighbours_are() {
        let page = |number, size| PageOf { page: number, size };
        let first = here("/v1/entities?page=1&x=1", Some("http://a:1")).page(page(1, 2), 5, vec![1, 2]);
        assert_eq!(first.next.as_deref(), Some("http://a:1/v1/entities/?x=1&page=2&page_size=2"));
        assert_eq!(first.previous, None);
        let last = here("/v1/entities", None).page(page(3, 2), 5, vec![5]);
        assert_eq!((last.next, last.previous.as_deref()), (None, Some("/v1/entities/?page=2&page_size=2")));
        let beyond = here("/v1/entities", None).page(page(9, 2), 5, Vec::<u8>::new());
        assert_eq!(beyond.previous.as_deref(), Some("/v1/entities/?page=3&page_size=2"));
        for (number, size) in [(0, 1), (1, 0), (1, 1001), (usize::MAX, 2)] {
            assert!(PageOf::new(Some(number), Some(size), 100).is_err());
        }
    }

    #[test]
    fn odd_hosts_are_not_repeated() {
        let of = |host: &str| base(&HeaderMap::from_iter([(HOST, host.parse().unwrap())]), &Uri::from_static("/"));
        assert_eq!(of("memory.example:8000").as_deref(), Some("http://memory.example:8000"));
        assert_eq!(of("a/b?c"), None);
    }
}
