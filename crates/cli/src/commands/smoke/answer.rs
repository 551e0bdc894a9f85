//! A server's response. Backends around mem0 wrap memories in different ways; all of them are read.

use serde_json::Value;

use crate::output::{one_line, truncate};

/// Keys that may hold a memory's text.
const TEXTS: [&str; 5] = ["memory", "text", "data", "content", "new_memory"];
/// Keys that may hold a number of memories.
const COUNTS: [&str; 5] = ["memory_count", "total_memories", "memories_count", "total", "count"];
/// Longest excerpt of a response in a report, in characters.
const EXCERPT: usize = 300;

/// An HTTP response.
#[derive(Debug)]
pub(super) struct Answer {
    /// Method and path of the request.
    pub(super) request: String,
    pub(super) status: u16,
    /// Null if the body is not valid JSON.
    pub(super) body: Value,
    pub(super) is_json: bool,
    /// The `Server` header.
    pub(super) server: Option<String>,
    text: String,
    location: Option<String>,
}

/// A memory in a response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoundMemory {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) event: Option<String>,
    pub(super) user: Option<String>,
    pub(super) run: Option<String>,
}

impl Answer {
    pub(super) fn new(
        request: String,
        status: u16,
        text: &str,
        server: Option<String>,
        location: Option<String>,
    ) -> Self {
        let body: Option<Value> = serde_json::from_str(text).ok();
        let is_json = body.is_some();
        Self {
            request,
            status,
            body: body.unwrap_or_default(),
            is_json,
            server,
            text: truncate(text, EXCERPT),
            location,
        }
    }

    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the key was refused.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// Whether the server rejected the form of the request.
    pub(super) fn is_invalid_request(&self) -> bool {
        matches!(self.status, 400 | 422)
    }

    /// Whether the server does not have the route. A 404 for an unknown id does not count.
    pub(super) fn is_absent(&self) -> bool {
        let no_route = || !self.is_json || self.detail().is_some_and(|detail| detail.eq_ignore_ascii_case("not found"));
        matches!(self.status, 405 | 410 | 501) || self.status == 404 && no_route()
    }

    /// The error code, if the server is mnemon.
    pub(super) fn code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    /// Request and response in one line, for a report.
    pub(super) fn describe(&self) -> String {
        let mut line = format!("{} answered {}", self.request, self.status);
        if let Some(location) = &self.location {
            line.push_str(&format!(", a redirect to {}: is --url correct?", truncate(location, EXCERPT)));
        } else if let Some(detail) = self.detail() {
            line.push_str(&format!(": {}", truncate(&detail, EXCERPT)));
        } else if !self.text.is_empty() {
            line.push_str(&format!(": {}", self.text));
        }
        for (key, prefix) in [("hint", " "), ("request_id", "; request id in its log: ")] {
            if let Some(value) = self.body[key].as_str() {
                if key == "request_id" {
                    line.truncate(line.trim_end_matches('.').len());
                }
                line.push_str(&format!("{prefix}{}", one_line(value)));
            }
        }
        line
    }

    /// All memories in the response.
    pub(super) fn memories(&self) -> Vec<FoundMemory> {
        let mut found = Vec::new();
        collect(&self.body, &mut found);
        found
    }

    /// The number of memories in the response.
    pub(super) fn count(&self) -> Option<u64> {
        let in_object = |value: &Value| COUNTS.iter().find_map(|key| value[*key].as_u64());
        in_object(&self.body).or_else(|| self.body.as_object()?.values().find_map(in_object))
    }

    /// Whether the response contains a text that is not blank.
    pub(super) fn has_text(&self) -> bool {
        const TEXT_KEYS: [&str; 7] = ["response", "message", "answer", "reply", "content", "text", "choices"];
        fn is_text(value: &Value) -> bool {
            match value {
                Value::String(text) => !text.trim().is_empty(),
                Value::Array(items) => items.iter().any(is_text),
                Value::Object(map) => TEXT_KEYS.iter().any(|key| map.get(*key).is_some_and(is_text)),
                _ => false,
            }
        }
        is_text(&self.body)
            || self.body.as_object().is_some_and(|map| map.values().any(|inner| inner.is_object() && is_text(inner)))
    }

    fn detail(&self) -> Option<String> {
        let detail =
            ["detail", "error", "message"].into_iter().map(|key| &self.body[key]).find(|value| !value.is_null());
        detail.map(|detail| detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
    }
}

impl FoundMemory {
    fn from_json(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = ["id", "memory_id"].into_iter().find_map(|key| match map.get(key)? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        })?;
        Some(Self {
            id,
            text: TEXTS.into_iter().find_map(text)?,
            event: text("event"),
            user: text("user_id"),
            run: text("run_id"),
        })
    }
}

fn collect(value: &Value, found: &mut Vec<FoundMemory>) {
    if let Some(memory) = FoundMemory::from_json(value) {
        found.push(memory);
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer::new("GET /x".into(), status, &body.to_string(), None, None)
    }

    #[test]
    fn memories_are_found_at_any_level() {
        let item = json!({"id": "a", "memory": "tea", "event": "ADD", "user_id": "ana", "metadata": {"id": "b", "text": "no"}});
        let bodies = [
            json!({"results": [item]}),
            json!([item]),
            item.clone(),
            json!({"success": true, "memories": {"results": [item], "relations": []}}),
        ];
        for body in bodies {
            let found = answer(200, &body).memories();
            assert_eq!(found.len(), 1, "{body}");
            assert_eq!((found[0].id.as_str(), found[0].text.as_str()), ("a", "tea"));
            assert_eq!((found[0].event.as_deref(), found[0].user.as_deref()), (Some("ADD"), Some("ana")));
        }
        assert!(answer(200, &json!({"message": "done", "id": "a"})).memories().is_empty());
        assert!(answer(200, &Value::Null).memories().is_empty());
    }

    #[test]
    fn the_count_is_found_among_other_keys() {
        assert_eq!(answer(200, &json!({"user_id": "ana", "memory_count": 3})).count(), Some(3));
        assert_eq!(answer(200, &json!({"stats": {"total_memories": 4}})).count(), Some(4));
        assert_eq!(answer(200, &json!({})).count(), None);
    }

    #[test]
    fn a_missing_route_differs_from_an_unknown_id() {
        assert!(answer(404, &json!({"detail": "Not Found"})).is_absent());
        assert!(Answer::new("GET /x".into(), 404, "<html>", None, None).is_absent());
        assert!(answer(405, &json!({"detail": "Method Not Allowed"})).is_absent());
        assert!(!answer(404, &json!({"detail": "Memory with id 7 not found."})).is_absent());
        assert!(!answer(200, &json!({})).is_absent());
    }

    #[test]
    fn a_chat_response_has_text() {
        for body in [json!("Amber."), json!({"response": "Amber."}), json!({"data": {"answer": "Amber."}})] {
            assert!(answer(200, &body).has_text(), "{body}");
        }
        for body in [json!({}), json!({"response": " "}), json!({"response": null}), json!([])] {
            assert!(!answer(200, &body).has_text(), "{body}");
        }
    }

    #[test]
    fn an_error_is_described_in_one_line() {
        let line = answer(500, &json!({"detail": "no\ndisk", "request_id": "r-1"})).describe();
        assert_eq!(line, "GET /x answered 500: no disk; request id in its log: r-1");
    }
}
