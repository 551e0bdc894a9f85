//! What a server answered, read whatever it is wrapped in: backends around mem0 differ in that.

use serde_json::Value;

use crate::output::{one_line, shortened};

/// Keys of a memory's text.
const TEXTS: [&str; 5] = ["memory", "text", "data", "content", "new_memory"];
/// Keys of a number of memories.
const COUNTS: [&str; 5] = ["memory_count", "total_memories", "memories_count", "total", "count"];
/// Most characters of an answer in a report.
const SAID: usize = 300;

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    /// Method and path.
    pub(super) asked: String,
    pub(super) status: u16,
    /// Null if it is no JSON.
    pub(super) body: Value,
    pub(super) is_json: bool,
    /// What serves, as the header says it.
    pub(super) server: Option<String>,
    text: String,
    location: Option<String>,
}

/// A memory in an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) event: Option<String>,
    pub(super) user: Option<String>,
    pub(super) run: Option<String>,
}

impl Answer {
    pub(super) fn new(
        asked: String,
        status: u16,
        text: &str,
        server: Option<String>,
        location: Option<String>,
    ) -> Self {
        let body: Option<Value> = serde_json::from_str(text).ok();
        let is_json = body.is_some();
        Self { asked, status, body: body.unwrap_or_default(), is_json, server, text: shortened(text, SAID), location }
    }

    pub(super) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the key was refused.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    /// Whether the request does not fit, rather than the server not working.
    pub(super) fn is_misunderstood(&self) -> bool {
        matches!(self.status, 400 | 422)
    }

    /// Whether the server has no such route; an id that is unknown to a route is another matter.
    pub(super) fn is_absent(&self) -> bool {
        let unknown = || !self.is_json || self.detail().is_some_and(|said| said.eq_ignore_ascii_case("not found"));
        matches!(self.status, 405 | 410 | 501) || self.status == 404 && unknown()
    }

    /// The code of an error, as our server names them.
    pub(super) fn code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    /// What was asked and what came, for a report.
    pub(super) fn said(&self) -> String {
        let mut said = format!("{} answered {}", self.asked, self.status);
        if let Some(location) = &self.location {
            said.push_str(&format!(", sending on to {}: is --url right?", shortened(location, SAID)));
        } else if let Some(detail) = self.detail() {
            said.push_str(&format!(": {}", shortened(&detail, SAID)));
        } else if !self.text.is_empty() {
            said.push_str(&format!(": {}", self.text));
        }
        for (key, before) in [("hint", " "), ("request_id", "; its log has it under ")] {
            if let Some(more) = self.body[key].as_str() {
                if key == "request_id" {
                    said.truncate(said.trim_end_matches('.').len());
                }
                said.push_str(&format!("{before}{}", one_line(more)));
            }
        }
        said
    }

    /// The memories it names.
    pub(super) fn memories(&self) -> Vec<Found> {
        let mut found = Vec::new();
        collect(&self.body, &mut found);
        found
    }

    /// The number of memories it tells.
    pub(super) fn count(&self) -> Option<u64> {
        let in_object = |value: &Value| COUNTS.iter().find_map(|key| value[*key].as_u64());
        in_object(&self.body).or_else(|| self.body.as_object()?.values().find_map(in_object))
    }

    /// Whether a text is in it that is not blank.
    pub(super) fn speaks(&self) -> bool {
        const SPOKEN: [&str; 7] = ["response", "message", "answer", "reply", "content", "text", "choices"];
        fn spoken(value: &Value) -> bool {
            match value {
                Value::String(text) => !text.trim().is_empty(),
                Value::Array(items) => items.iter().any(spoken),
                Value::Object(map) => SPOKEN.iter().any(|key| map.get(*key).is_some_and(spoken)),
                _ => false,
            }
        }
        spoken(&self.body)
            || self.body.as_object().is_some_and(|map| map.values().any(|inner| inner.is_object() && spoken(inner)))
    }

    fn detail(&self) -> Option<String> {
        let detail =
            ["detail", "error", "message"].into_iter().map(|key| &self.body[key]).find(|value| !value.is_null());
        detail.map(|detail| detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
    }
}

impl Found {
    fn of(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let word = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = ["id", "memory_id"].into_iter().find_map(|key| match map.get(key)? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        })?;
        Some(Self {
            id,
            text: TEXTS.into_iter().find_map(word)?,
            event: word("event"),
            user: word("user_id"),
            run: word("run_id"),
        })
    }
}

fn collect(value: &Value, found: &mut Vec<Found>) {
    if let Some(memory) = Found::of(value) {
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
    fn memories_are_found_whatever_they_are_wrapped_in() {
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
    fn numbers_are_found_beside_other_things() {
        assert_eq!(answer(200, &json!({"user_id": "ana", "memory_count": 3})).count(), Some(3));
        assert_eq!(answer(200, &json!({"stats": {"total_memories": 4}})).count(), Some(4));
        assert_eq!(answer(200, &json!({})).count(), None);
    }

    #[test]
    fn a_route_that_is_not_there_is_told_from_an_id_that_is_unknown() {
        assert!(answer(404, &json!({"detail": "Not Found"})).is_absent());
        assert!(Answer::new("GET /x".into(), 404, "<html>", None, None).is_absent());
        assert!(answer(405, &json!({"detail": "Method Not Allowed"})).is_absent());
        assert!(!answer(404, &json!({"detail": "Memory with id 7 not found."})).is_absent());
        assert!(!answer(200, &json!({})).is_absent());
    }

    #[test]
    fn a_chat_answers_with_words() {
        for body in [json!("Amber."), json!({"response": "Amber."}), json!({"data": {"answer": "Amber."}})] {
            assert!(answer(200, &body).speaks(), "{body}");
        }
        for body in [json!({}), json!({"response": " "}), json!({"response": null}), json!([])] {
            assert!(!answer(200, &body).speaks(), "{body}");
        }
    }

    #[test]
    fn an_error_is_told_in_one_line() {
        let told = answer(500, &json!({"detail": "no\ndisk", "request_id": "r-1"})).said();
        assert_eq!(told, "GET /x answered 500: no disk; its log has it under r-1");
    }
}
