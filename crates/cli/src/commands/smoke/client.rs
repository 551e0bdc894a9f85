//! HTTP requests with an API key and a timeout.

use std::time::Duration;

use anyhow::Context;
use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::header::{LOCATION, RETRY_AFTER, SERVER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, Url};
use serde_json::Value;

use super::answer::Answer;
use super::target::ApiKey;

/// Attempts for a request that the server answers with 429.
const ATTEMPTS: usize = 4;

/// The API key of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Credentials<'k> {
    /// The configured one.
    Own,
    /// Another one.
    Key(&'k str),
    /// No key.
    None,
}

/// An HTTP client for one server.
pub(super) struct Client {
    http: Http,
    url: Url,
    key: Option<ApiKey>,
    timeout: Duration,
}

/// Why there was no response.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) timed_out: bool,
    pub(super) message: String,
}

impl Client {
    pub(super) fn new(url: &Url, key: Option<&ApiKey>, timeout: Duration) -> anyhow::Result<Self> {
        let http = Http::builder()
            .timeout(timeout)
            .redirect(Policy::custom(
                |attempt| if is_same_origin(&attempt) { attempt.follow() } else { attempt.stop() },
            ))
            .user_agent(concat!("mnemon-smoke/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client")?;
        Ok(Self { http, url: url.clone(), key: key.cloned(), timeout })
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, path, query, None, Credentials::Own)
    }

    pub(super) fn delete(&self, path: &[&str]) -> Result<Answer, NoAnswer> {
        self.send(Method::DELETE, path, &[], None, Credentials::Own)
    }

    pub(super) fn post(&self, path: &[&str], body: &Value) -> Result<Answer, NoAnswer> {
        self.send(Method::POST, path, &[], Some(body), Credentials::Own)
    }

    pub(super) fn put(&self, path: &[&str], body: &Value) -> Result<Answer, NoAnswer> {
        self.send(Method::PUT, path, &[], Some(body), Credentials::Own)
    }

    /// Sends a request. Waits and retries if the server answers 429.
    pub(super) fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        credentials: Credentials<'_>,
    ) -> Result<Answer, NoAnswer> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let target = format!("{method} {}", url.path());
        let request = || self.with_key(self.http.request(method.clone(), url.clone()), credentials);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let request = body.map_or_else(request, |body| request().json(body));
            let response = request.send().map_err(|error| self.no_answer(&target, &error))?;
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (status, server, location) = (response.status().as_u16(), header(SERVER), header(LOCATION));
            let pause = header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map_or(1, |seconds: u64| seconds);
            if status == 429 && attempts < ATTEMPTS {
                std::thread::sleep(Duration::from_secs(pause).min(self.timeout));
                continue;
            }
            let text = response.text().map_err(|error| self.no_answer(&target, &error))?;
            return Ok(Answer::new(target, status, &text, server, location));
        }
    }

    fn with_key(&self, request: RequestBuilder, credentials: Credentials<'_>) -> RequestBuilder {
        let key = match credentials {
            Credentials::Own => self.key.as_ref().map(|key| key.0.as_str()),
            Credentials::Key(key) => Some(key),
            Credentials::None => None,
        };
        match key {
            Some(key) => request.header("X-API-Key", key),
            None => request,
        }
    }

    fn no_answer(&self, target: &str, error: &reqwest::Error) -> NoAnswer {
        if error.is_timeout() {
            return NoAnswer { timed_out: true, message: format!("{target}: no answer within {:?}", self.timeout) };
        }
        // The innermost cause is specific; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        NoAnswer { timed_out: false, message: format!("{target}: {cause}") }
    }
}

/// Redirects to another origin are not followed: the key is not meant for that server.
fn is_same_origin(attempt: &Attempt<'_>) -> bool {
    let from = attempt.previous();
    from.len() < 5 && from.last().is_some_and(|from| from.origin() == attempt.url().origin())
}
