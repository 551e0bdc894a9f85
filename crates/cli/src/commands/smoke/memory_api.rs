//! Operations of a memory server, for mnemon, mem0's own server and the legacy Python backend.
//!
//! The servers differ in paths and in where the user is given. The first form that works is kept.

use std::cell::Cell;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::answer::{Answer, FoundMemory};
use super::client::{Client, Credentials, NoAnswer};
use super::target::Target;

/// Longest list: the limit of servers.
pub(super) const MAX_LIST: usize = 1000;
/// Hits per search.
const TOP_K: usize = 20;
/// Routes of searches.
const SEARCH_ROUTES: [&[&str]; 2] = [&["memories", "search"], &["search"]];

/// Why a check is not ok.
#[derive(Debug)]
pub(super) enum CheckError {
    /// The check is not possible with this server.
    Skip(String),
    /// The server misbehaved.
    Failed(String),
    /// The server did not answer.
    NoAnswer(NoAnswer),
}

impl From<NoAnswer> for CheckError {
    fn from(error: NoAnswer) -> Self {
        Self::NoAnswer(error)
    }
}

/// A server, the user of the requests, and which forms of request the server accepts.
pub(super) struct MemoryApi {
    pub(super) client: Client,
    /// Sent with each request; `None` if the key determines the user.
    pub(super) user: Option<String>,
    /// A new run id, which separates the test data from the user's conversations.
    pub(super) run: String,
    /// Whether the server is mnemon, whose routes are known.
    pub(super) is_mnemon: Cell<bool>,
    /// Whether returned memories have their run id; `false` until one does.
    pub(super) keeps_run: Cell<bool>,
    /// The accepted form of searches: index of the route, and whether scope ids go into `filters`.
    search_form: Cell<Option<(usize, bool)>>,
}

impl MemoryApi {
    pub(super) fn new(target: &Target, run: String) -> anyhow::Result<Self> {
        let client = Client::new(&target.url, target.api_key.as_ref(), target.timeout)?;
        let (is_mnemon, keeps_run, search_form) = (Cell::new(false), Cell::new(false), Cell::new(None));
        Ok(Self { client, user: target.user.clone(), run, is_mnemon, keeps_run, search_form })
    }

    /// Adds a text verbatim, if the server supports it.
    pub(super) fn add(&self, text: &str, metadata: &Value) -> Result<Vec<FoundMemory>, CheckError> {
        let messages = json!([{"role": "user", "content": text}]);
        let mut body = json!({"messages": messages, "metadata": metadata, "infer": false, "run_id": self.run});
        self.set_user(&mut body);
        let answer = self.client.post(&["memories"], &body)?;
        if answer.is_ok() {
            return Ok(answer.memories());
        }
        if answer.is_invalid_request() && !self.is_mnemon.get() {
            let mut plain = json!({"messages": messages, "metadata": metadata});
            self.set_user(&mut plain);
            let second = self.client.post(&["memories"], &plain)?;
            if second.is_ok() {
                return Ok(second.memories());
            }
        }
        let advice =
            if self.user.is_none() && answer.is_invalid_request() { ". Give the user with --user" } else { "" };
        Err(CheckError::Failed(format!("{}{advice}", answer.describe())))
    }

    /// Lists up to [`MAX_LIST`] memories of the user, or of this run.
    pub(super) fn list(&self, of_run: bool) -> Result<Answer, NoAnswer> {
        let limit = MAX_LIST.to_string();
        let mut query = vec![("top_k", limit.as_str()), ("limit", limit.as_str())];
        query.extend(self.user.as_deref().map(|user| ("user_id", user)));
        if self.narrows_to_run(of_run) {
            query.push(("run_id", self.run.as_str()));
        }
        let answer = self.client.get(&["memories"], &query)?;
        match &self.user {
            Some(user) if !answer.is_ok() && !answer.is_refused() && !self.is_mnemon.get() && is_segment(user) => {
                let second = self.client.get(&["memories", user], &query[..2])?;
                Ok(if second.is_ok() { second } else { answer })
            }
            _ => Ok(answer),
        }
    }

    /// A memory by its id, with a remark if it was found in an unusual way; `None` if it does not exist.
    pub(super) fn get(&self, id: &str) -> Result<Option<(FoundMemory, Option<String>)>, CheckError> {
        let answer = self.client.get(&["memories", id], &[])?;
        if let Some(found) = answer.memories().into_iter().find(|found| found.id == id) {
            return Ok(Some((found, None)));
        }
        if answer.status >= 500 {
            return Err(CheckError::Failed(answer.describe()));
        }
        if self.is_mnemon.get() {
            return Ok(None);
        }
        // A backend that reads the path segment as a user id has the memory in its list only.
        let listed = self.list(true)?;
        let found = listed.memories().into_iter().find(|found| found.id == id);
        Ok(found.map(|found| (found, Some(format!("in the list only: {}", answer.describe())))))
    }

    /// Searches; the best hit is the first.
    pub(super) fn search(
        &self,
        question: &str,
        of_run: bool,
        filter: &[(&str, &str)],
    ) -> Result<Vec<FoundMemory>, CheckError> {
        let forms = (0..SEARCH_ROUTES.len()).flat_map(|route| [(route, true), (route, false)]);
        let known = self.search_form.get();
        let mut refused: Option<Answer> = None;
        for form in forms.filter(|form| known.is_none_or(|known| known == *form)) {
            let (route, in_filters) = form;
            let body = self.search_body(question, of_run, filter, in_filters);
            let answer = self.client.post(SEARCH_ROUTES[route], &body)?;
            if answer.is_ok() {
                self.search_form.set(Some(form));
                return Ok(answer.memories());
            }
            // An error of the right route says more than a missing route.
            if refused.as_ref().is_none_or(Answer::is_absent) {
                refused = Some(answer);
            }
        }
        Err(CheckError::Failed(refused.map_or_else(String::new, |answer| answer.describe())))
    }

    /// Searches with another key or none.
    pub(super) fn search_as(&self, credentials: Credentials<'_>) -> Result<Answer, NoAnswer> {
        let mut body = self.search_body("tea", true, &[], true);
        body["filters"]["run_id"] = self.run.as_str().into();
        let search = |path: &[&str]| self.client.send(Method::POST, path, &[], Some(&body), credentials);
        let first = search(SEARCH_ROUTES[0])?;
        if first.is_absent() { search(SEARCH_ROUTES[1]) } else { Ok(first) }
    }

    pub(super) fn update(&self, id: &str, text: &str) -> Result<Answer, NoAnswer> {
        let mut first = None;
        for key in ["text", "data", "memory"] {
            let answer = self.client.put(&["memories", id], &json!({key: text}))?;
            if answer.is_ok() || !answer.is_invalid_request() || self.is_mnemon.get() {
                return Ok(answer);
            }
            first.get_or_insert(answer);
        }
        // The loop has run at least once.
        first.map_or_else(|| self.client.put(&["memories", id], &Value::Null), Ok)
    }

    pub(super) fn history(&self, id: &str) -> Result<Answer, NoAnswer> {
        let first = self.client.get(&["memories", id, "history"], &[])?;
        if !first.is_absent() {
            return Ok(first);
        }
        let second = self.client.get(&["history", id], &[])?;
        Ok(if second.is_ok() { second } else { first })
    }

    pub(super) fn delete(&self, id: &str) -> Result<Answer, NoAnswer> {
        self.client.delete(&["memories", id])
    }

    pub(super) fn chat(&self, message: &str) -> Result<Answer, NoAnswer> {
        let mut body = json!({"message": message, "run_id": self.run});
        self.set_user(&mut body);
        let first = self.client.post(&["chat"], &body)?;
        if !first.is_invalid_request() {
            return Ok(first);
        }
        let mut body = json!({"messages": [{"role": "user", "content": message}]});
        self.set_user(&mut body);
        let second = self.client.post(&["chat"], &body)?;
        Ok(if second.is_ok() { second } else { first })
    }

    /// The body of a search. The scope ids go into `filters`, or beside them for older servers.
    fn search_body(&self, question: &str, of_run: bool, filter: &[(&str, &str)], in_filters: bool) -> Value {
        let mut scope = Map::new();
        scope.extend(self.user.clone().map(|user| ("user_id".to_owned(), user.into())));
        if self.narrows_to_run(of_run) {
            scope.insert("run_id".to_owned(), self.run.clone().into());
        }
        let mut filters: Map<String, Value> =
            filter.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let mut body = json!({"query": question, "top_k": TOP_K, "limit": TOP_K});
        if in_filters {
            filters.extend(scope);
        } else if let Some(body) = body.as_object_mut() {
            body.extend(scope);
        }
        if !filters.is_empty() {
            body["filters"] = filters.into();
        }
        body
    }

    /// Whether a request is narrowed to this run. A request without a user needs it: it is refused otherwise, or covers everyone.
    fn narrows_to_run(&self, of_run: bool) -> bool {
        self.keeps_run.get() && (of_run || self.user.is_none())
    }

    fn set_user(&self, body: &mut Value) {
        if let Some(user) = &self.user {
            body["user_id"] = user.as_str().into();
        }
    }
}

/// Whether the id is one path segment. A deletion must never reach the parent path, which `..` would name.
pub(super) fn is_segment(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".."
}
