//! Requests with a key and a deadline.

use std::time::Duration;

use anyhow::Context;
use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::header::{LOCATION, RETRY_AFTER, SERVER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, Url};
use serde_json::Value;

use super::answer::Answer;
use super::target::ApiKey;

/// How often a request is sent that the server had no time for.
const TRIES: usize = 4;

/// Which key a request comes with.
#[derive(Clone, Copy, Debug)]
pub(super) enum With<'k> {
    /// The one that was given.
    Own,
    /// Another.
    Key(&'k str),
    /// None.
    Nothing,
}

/// A server.
pub(super) struct Client {
    http: Http,
    url: Url,
    key: Option<ApiKey>,
    timeout: Duration,
}

/// Why nothing was answered.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) timed_out: bool,
    pub(super) message: String,
}

impl Client {
    pub(super) fn new(url: &Url, key: Option<&ApiKey>, timeout: Duration) -> anyhow::Result<Self> {
        let http = Http::builder()
            .timeout(timeout)
            .redirect(Policy::custom(|attempt| if same_place(&attempt) { attempt.follow() } else { attempt.stop() }))
            .user_agent(concat!("mnemon-smoke/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client")?;
        Ok(Self { http, url: url.clone(), key: key.cloned(), timeout })
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, Silence> {
        self.send(Method::GET, path, query, None, With::Own)
    }

    pub(super) fn delete(&self, path: &[&str]) -> Result<Answer, Silence> {
        self.send(Method::DELETE, path, &[], None, With::Own)
    }

    pub(super) fn post(&self, path: &[&str], body: &Value) -> Result<Answer, Silence> {
        self.send(Method::POST, path, &[], Some(body), With::Own)
    }

    pub(super) fn put(&self, path: &[&str], body: &Value) -> Result<Answer, Silence> {
        self.send(Method::PUT, path, &[], Some(body), With::Own)
    }

    /// Asks, and waits if the server says that it has no time yet.
    pub(super) fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        with: With<'_>,
    ) -> Result<Answer, Silence> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let asked = format!("{method} {}", url.path());
        let request = || self.keyed(self.http.request(method.clone(), url.clone()), with);
        let mut tries = 0;
        loop {
            tries += 1;
            let request = body.map_or_else(request, |body| request().json(body));
            let response = request.send().map_err(|error| self.silence(&asked, &error))?;
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (status, server, location) = (response.status().as_u16(), header(SERVER), header(LOCATION));
            let pause = header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map_or(1, |seconds: u64| seconds);
            if status == 429 && tries < TRIES {
                std::thread::sleep(Duration::from_secs(pause).min(self.timeout));
                continue;
            }
            let text = response.text().map_err(|error| self.silence(&asked, &error))?;
            return Ok(Answer::new(asked, status, &text, server, location));
        }
    }

    fn keyed(&self, request: RequestBuilder, with: With<'_>) -> RequestBuilder {
        let key = match with {
            With::Own => self.key.as_ref().map(|key| key.0.as_str()),
            With::Key(key) => Some(key),
            With::Nothing => None,
        };
        match key {
            Some(key) => request.header("X-API-Key", key),
            None => request,
        }
    }

    fn silence(&self, asked: &str, error: &reqwest::Error) -> Silence {
        if error.is_timeout() {
            return Silence { timed_out: true, message: format!("{asked}: no answer within {:?}", self.timeout) };
        }
        // The innermost cause is the one that tells; those around it repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Silence { timed_out: false, message: format!("{asked}: {cause}") }
    }
}

/// Elsewhere the key would be shown to somebody it was not meant for.
fn same_place(attempt: &Attempt<'_>) -> bool {
    let from = attempt.previous();
    from.len() < 5 && from.last().is_some_and(|from| from.origin() == attempt.url().origin())
}
