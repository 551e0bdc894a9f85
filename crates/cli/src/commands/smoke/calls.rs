//! What can be asked of a memory server, in the dialects of ours, mem0's own and the runbook's backend.
//!
//! They differ in paths and in where a user is named. The first form that is understood is kept.

use std::cell::Cell;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Found};
use super::client::{Client, Silence, With};
use super::target::Smoke;

/// The most memories of one list: what servers allow.
pub(super) const PAGE: usize = 1000;
/// The most hits of one search.
const TOP_K: usize = 20;
/// Where servers take questions.
const SEARCHES: [&[&str]; 2] = [&["memories", "search"], &["search"]];

/// Why a check is not ok.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It can't be tried here.
    Skip(String),
    /// The server did something wrong.
    Wrong(String),
    /// The server did not answer.
    Silent(Silence),
}

impl From<Silence> for Trouble {
    fn from(silence: Silence) -> Self {
        Self::Silent(silence)
    }
}

/// A server, whose memories are asked for, and what was learned of how it wants to be asked.
pub(super) struct Calls {
    pub(super) client: Client,
    /// Named in each request; `None` leaves it to the key.
    pub(super) user: Option<String>,
    /// A run of its own keeps what is written out of the user's conversations.
    pub(super) run: String,
    /// Whether the server is ours, whose routes are known.
    pub(super) is_ours: Cell<bool>,
    /// Whether memories carry the run they were written with; `false` until one was seen that does.
    pub(super) keeps_run: Cell<bool>,
    searches: Cell<Option<(usize, bool)>>,
}

impl Calls {
    pub(super) fn new(smoke: &Smoke, run: String) -> anyhow::Result<Self> {
        let client = Client::new(&smoke.url, smoke.api_key.as_ref(), smoke.timeout)?;
        let (is_ours, keeps_run, searches) = (Cell::new(false), Cell::new(false), Cell::new(None));
        Ok(Self { client, user: smoke.user.clone(), run, is_ours, keeps_run, searches })
    }

    /// Writes a text as it is, if the server can.
    pub(super) fn add(&self, text: &str, metadata: &Value) -> Result<Vec<Found>, Trouble> {
        let messages = json!([{"role": "user", "content": text}]);
        let mut body = json!({"messages": messages, "metadata": metadata, "infer": false, "run_id": self.run});
        self.name_user(&mut body);
        let answer = self.client.post(&["memories"], &body)?;
        if answer.is_ok() {
            return Ok(answer.memories());
        }
        if answer.is_misunderstood() && !self.is_ours.get() {
            let mut plain = json!({"messages": messages, "metadata": metadata});
            self.name_user(&mut plain);
            let second = self.client.post(&["memories"], &plain)?;
            if second.is_ok() {
                return Ok(second.memories());
            }
        }
        let who =
            if self.user.is_none() && answer.is_misunderstood() { ". Say whose memories, with --user" } else { "" };
        Err(Trouble::Wrong(format!("{}{who}", answer.said())))
    }

    /// The user's memories, or those of this run; at most a page.
    pub(super) fn list(&self, of_run: bool) -> Result<Answer, Silence> {
        let page = PAGE.to_string();
        let mut query = vec![("top_k", page.as_str()), ("limit", page.as_str())];
        query.extend(self.user.as_deref().map(|user| ("user_id", user)));
        if self.names_run(of_run) {
            query.push(("run_id", self.run.as_str()));
        }
        let answer = self.client.get(&["memories"], &query)?;
        match &self.user {
            Some(user) if !answer.is_ok() && !answer.is_refused() && !self.is_ours.get() && is_segment(user) => {
                let second = self.client.get(&["memories", user], &query[..2])?;
                Ok(if second.is_ok() { second } else { answer })
            }
            _ => Ok(answer),
        }
    }

    /// A memory by its id, and what is odd about how it was found; `None` if it is not there.
    pub(super) fn get(&self, id: &str) -> Result<Option<(Found, Option<String>)>, Trouble> {
        let answer = self.client.get(&["memories", id], &[])?;
        if let Some(found) = answer.memories().into_iter().find(|found| found.id == id) {
            return Ok(Some((found, None)));
        }
        if answer.status >= 500 {
            return Err(Trouble::Wrong(answer.said()));
        }
        if self.is_ours.get() {
            return Ok(None);
        }
        // A backend that takes the id for a user's knows the memory by its list only.
        let listed = self.list(true)?;
        let found = listed.memories().into_iter().find(|found| found.id == id);
        Ok(found.map(|found| (found, Some(format!("in the list only: {}", answer.said())))))
    }

    /// What a question finds, best first.
    pub(super) fn search(&self, question: &str, of_run: bool, filter: &[(&str, &str)]) -> Result<Vec<Found>, Trouble> {
        let forms = (0..SEARCHES.len()).flat_map(|path| [(path, true), (path, false)]);
        let known = self.searches.get();
        let mut refused: Option<Answer> = None;
        for form in forms.filter(|form| known.is_none_or(|known| known == *form)) {
            let (path, in_filters) = form;
            let body = self.question(question, of_run, filter, in_filters);
            let answer = self.client.post(SEARCHES[path], &body)?;
            if answer.is_ok() {
                self.searches.set(Some(form));
                return Ok(answer.memories());
            }
            // What was understood and failed tells more than that another path is not there.
            if refused.as_ref().is_none_or(Answer::is_absent) {
                refused = Some(answer);
            }
        }
        Err(Trouble::Wrong(refused.map_or_else(String::new, |answer| answer.said())))
    }

    /// Asks with another key, or none: something that changes nothing.
    pub(super) fn ask_as(&self, with: With<'_>) -> Result<Answer, Silence> {
        let mut body = self.question("tea", true, &[], true);
        body["filters"]["run_id"] = self.run.as_str().into();
        let ask = |path: &[&str]| self.client.send(Method::POST, path, &[], Some(&body), with);
        let first = ask(SEARCHES[0])?;
        if first.is_absent() { ask(SEARCHES[1]) } else { Ok(first) }
    }

    pub(super) fn update(&self, id: &str, text: &str) -> Result<Answer, Silence> {
        let mut first = None;
        for key in ["text", "data", "memory"] {
            let answer = self.client.put(&["memories", id], &json!({key: text}))?;
            if answer.is_ok() || !answer.is_misunderstood() || self.is_ours.get() {
                return Ok(answer);
            }
            first.get_or_insert(answer);
        }
        // The loop has run, so there is one.
        first.map_or_else(|| self.client.put(&["memories", id], &Value::Null), Ok)
    }

    pub(super) fn history(&self, id: &str) -> Result<Answer, Silence> {
        let first = self.client.get(&["memories", id, "history"], &[])?;
        if !first.is_absent() {
            return Ok(first);
        }
        let second = self.client.get(&["history", id], &[])?;
        Ok(if second.is_ok() { second } else { first })
    }

    pub(super) fn delete(&self, id: &str) -> Result<Answer, Silence> {
        self.client.delete(&["memories", id])
    }

    pub(super) fn chat(&self, message: &str) -> Result<Answer, Silence> {
        let mut body = json!({"message": message, "run_id": self.run});
        self.name_user(&mut body);
        let first = self.client.post(&["chat"], &body)?;
        if !first.is_misunderstood() {
            return Ok(first);
        }
        let mut body = json!({"messages": [{"role": "user", "content": message}]});
        self.name_user(&mut body);
        let second = self.client.post(&["chat"], &body)?;
        Ok(if second.is_ok() { second } else { first })
    }

    /// A question; whose memories stands in the filters, or beside them for older servers.
    fn question(&self, question: &str, of_run: bool, filter: &[(&str, &str)], in_filters: bool) -> Value {
        let mut whose = Map::new();
        whose.extend(self.user.clone().map(|user| ("user_id".to_owned(), user.into())));
        if self.names_run(of_run) {
            whose.insert("run_id".to_owned(), self.run.clone().into());
        }
        let mut filters: Map<String, Value> =
            filter.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let mut body = json!({"query": question, "top_k": TOP_K, "limit": TOP_K});
        if in_filters {
            filters.extend(whose);
        } else if let Some(body) = body.as_object_mut() {
            body.extend(whose);
        }
        if !filters.is_empty() {
            body["filters"] = filters.into();
        }
        body
    }

    /// Whether a question is narrowed to this run; one about nobody is refused, or answered with everybody's.
    fn names_run(&self, of_run: bool) -> bool {
        self.keeps_run.get() && (of_run || self.user.is_none())
    }

    fn name_user(&self, body: &mut Value) {
        if let Some(user) = &self.user {
            body["user_id"] = user.as_str().into();
        }
    }
}

/// Whether it stays one segment of a path: `..` would name what is above, which a deletion must never reach.
pub(super) fn is_segment(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".."
}
