//! How real services refuse, in the form and with the words that each uses: `refusals.json`.

use std::time::Duration;

use serde_json::Value;

use super::Behaviour;
use crate::service::Reply;

const REFUSALS: &str = include_str!("refusals.json");

/// A service with its behaviour.
#[derive(Clone, Debug)]
pub struct Case {
    /// The service, for the messages of a test.
    pub name: String,
    /// Its behaviour.
    pub behaviour: Behaviour,
}

/// Services that refuse a text of more than `chars` characters, each in its words.
pub fn text_limits(chars: usize) -> Vec<Case> {
    cases("text_limits", "", |reply| Behaviour::TextLimit(chars, reply))
}

/// Services that refuse a text of more than `chars` characters and do not say why.
pub fn vague(chars: usize) -> Vec<Case> {
    cases("vague", "", |reply| Behaviour::TextLimit(chars, reply))
}

/// Services that refuse a text of more than `chars` characters with each of many statuses, and with words that nobody knows.
pub fn gibberish(chars: usize) -> Vec<Case> {
    const STATUSES: [&str; 18] = [
        "400 Bad Request",
        "402 Payment Required",
        "403 Forbidden",
        "405 Method Not Allowed",
        "406 Not Acceptable",
        "409 Conflict",
        "413 Payload Too Large",
        "415 Unsupported Media Type",
        "418 I'm a teapot",
        "422 Unprocessable Entity",
        "424 Failed Dependency",
        "451 Unavailable For Legal Reasons",
        "499 Client Closed Request",
        "500 Internal Server Error",
        "501 Not Implemented",
        "520 Web Server Returned an Unknown Error",
        "529 Site is overloaded",
        "200 OK",
    ];
    let bodies = [
        serde_json::json!({"error": {"message": "glorp the snargle", "code": "E_GLORP"}}),
        serde_json::json!({"errors": [{"detail": "snargle"}], "success": false}),
    ];
    let case = |(number, status): (usize, &&'static str)| {
        let reply = Reply::new(status, &bodies[number % 2]);
        Case { name: format!("gibberish: {status}"), behaviour: Behaviour::TextLimit(chars, reply) }
    };
    STATUSES.iter().enumerate().map(case).collect()
}

/// Language models that know no system messages.
pub fn refused_roles() -> Vec<Case> {
    cases("refused_roles", "", |reply| Behaviour::RefusedRole("system", reply))
}

/// Services that do not answer a text of more than `chars` characters: in time, or at all.
pub fn silent(chars: usize) -> Vec<Case> {
    let closed = |headers, body: &str| {
        let status = if body.is_empty() { "" } else { "200 OK" };
        Behaviour::TextLimit(chars, Reply { status, headers, body: body.to_owned() })
    };
    let behaviours = [
        ("slow", Behaviour::SlowFrom(chars, Duration::from_secs(2))),
        ("closed", closed("", "")),
        ("cut", closed("Content-Length: 900\r\nConnection: close\r\n", "{\"choices\": [{\"mess")),
        ("cut chunk", closed("Transfer-Encoding: chunked\r\nConnection: close\r\n", "ff\r\n{\"data\": [")),
    ];
    behaviours.into_iter().map(|(name, behaviour)| Case { name: format!("silent: {name}"), behaviour }).collect()
}

/// Services that refuse more than `texts` texts in one request for embeddings.
pub fn batch_limits(texts: usize) -> Vec<Case> {
    cases("batch_limits", "", |reply| Behaviour::BatchLimit(texts, reply))
}

/// Services that refuse a request with this key.
pub fn refused_keys(key: &'static str) -> Vec<Case> {
    cases("refused_keys", key, |reply| Behaviour::RefusedKey(key, reply))
}

/// Services whose filter refuses a text that contains this word.
pub fn content_refusals(word: &'static str) -> Vec<Case> {
    cases("content_refusals", "", |reply| Behaviour::RefusedWord(word, reply))
}

/// The cases of a group of `refusals.json`, with `KEY` in their bodies replaced.
fn cases(group: &str, key: &str, behaviour: impl Fn(Reply) -> Behaviour) -> Vec<Case> {
    let all: Value = serde_json::from_str(REFUSALS).expect("refusals.json");
    let case = |row: &Value| {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let body = row["body"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned).replace("KEY", key);
        let reply = Reply { status: status(&text("status")), headers: "", body };
        Case { name: format!("{group}: {}", text("service")), behaviour: behaviour(reply) }
    };
    all[group].as_array().expect("a group").iter().map(case).collect()
}

/// The status line of a status.
fn status(line: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "400 Bad Request",
        "403 Forbidden",
        "413 Payload Too Large",
        "422 Unprocessable Entity",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ];
    KNOWN.into_iter().find(|known| *known == line).expect("a known status")
}
