//! What real endpoints do otherwise than the standard says.

use std::time::Duration;

use serde_json::{Value, json};

use super::facts::echo_facts;
use super::vectors;
use crate::service::{ReceivedRequest, Reply};

/// One peculiarity of an endpoint. Embeddings and chats are concerned alike, unless the variant says otherwise.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Refuses a text with more characters: each text to embed, or all messages of a chat together.
    TextLimit(usize, Reply),
    /// Answers a text with more characters only after this time.
    SlowFrom(usize, Duration),
    /// Refuses more texts in one request for embeddings.
    BatchLimit(usize, Reply),
    /// Refuses more characters in all texts of a request together.
    TotalLimit(usize, Reply),
    /// Refuses a request that has this key.
    RefusedKey(&'static str, Reply),
    /// Refuses a request that contains this word anywhere in its texts.
    RefusedWord(&'static str, Reply),
    /// Refuses every request.
    Always(Reply),
    /// Refuses lists of texts to embed; accepts one text that is not in a list.
    ListRefused(Reply),
    /// Embeds only the first text of a request.
    FirstTextOnly,
    /// Sends vectors of nulls for texts that contain this word.
    NullVectors(&'static str),
    /// The same with `NaN`, which is not JSON.
    NanVectors(&'static str),
    /// Sends vectors in base64 even if floats were requested.
    Base64,
    /// Sends vectors of this length, also if another was requested.
    VectorLength(usize),
    /// Changes the JSON of an answer with vectors, given the texts.
    Embeddings(fn(&mut Value, &[&str])),
    /// Refuses messages with this role.
    RefusedRole(&'static str, Reply),
    /// Changes the text of an answer that has facts.
    Facts(fn(&str) -> String),
    /// Changes the JSON of an answer that has facts.
    Completion(fn(&mut Value)),
    /// Changes the body of an answer.
    Body(fn(&str) -> String),
}

impl Behaviour {
    /// The refusal of a request, if this behaviour refuses it.
    pub(super) fn refuse(&self, request: &ReceivedRequest) -> Option<Reply> {
        let texts = request.all_texts();
        let chars = |text: &&str| text.chars().count();
        let total: usize = texts.iter().map(chars).sum();
        let (is_refused, reply) = match self {
            Self::TextLimit(limit, reply) if request.is_for_embeddings() => {
                (texts.iter().any(|text| chars(text) > *limit), reply)
            }
            Self::TextLimit(limit, reply) | Self::TotalLimit(limit, reply) => (total > *limit, reply),
            Self::SlowFrom(limit, time) => {
                if texts.iter().any(|text| chars(text) > *limit) {
                    std::thread::sleep(*time);
                }
                return None;
            }
            Self::BatchLimit(limit, reply) => (request.is_for_embeddings() && texts.len() > *limit, reply),
            Self::RefusedKey(key, reply) => (request.body.get(key).is_some(), reply),
            Self::RefusedWord(word, reply) => (texts.iter().any(|text| text.contains(word)), reply),
            Self::Always(reply) => (true, reply),
            Self::ListRefused(reply) => (request.body["input"].is_array(), reply),
            Self::RefusedRole(role, reply) => {
                let messages = request.body["messages"].as_array();
                (messages.is_some_and(|messages| messages.iter().any(|message| message["role"] == *role)), reply)
            }
            Self::Base64
            | Self::VectorLength(_)
            | Self::FirstTextOnly
            | Self::NullVectors(_)
            | Self::NanVectors(_)
            | Self::Embeddings(_)
            | Self::Facts(_)
            | Self::Completion(_)
            | Self::Body(_) => return None,
        };
        is_refused.then(|| reply.clone())
    }

    /// The answer as this behaviour changes it.
    pub(super) fn change(&self, request: &ReceivedRequest, reply: Reply) -> Reply {
        if !reply.status.starts_with("200") {
            return reply;
        }
        match self {
            Self::Body(change) => return Reply { body: change(&reply.body), ..reply },
            Self::Completion(change) if echo_facts(request).is_some() => return change_json(&reply, change),
            Self::Facts(change) if !request.is_for_embeddings() => {
                return change_json(&reply, |body| {
                    let content = &mut body["choices"][0]["message"]["content"];
                    if let Some(text) = content.as_str().filter(|text| text.starts_with("{\"memory\"")) {
                        *content = change(text).into();
                    }
                });
            }
            _ if !request.is_for_embeddings() => return reply,
            _ => {}
        }
        match self {
            Self::Embeddings(change) => change_json(&reply, |body| change(body, &request.texts())),
            Self::Base64 => change_vectors(&reply, |_, vector| json!(vectors::base64(&vector))),
            Self::VectorLength(length) => change_vectors(&reply, |_, mut vector| {
                vector.resize(*length, 0.0);
                json!(vector)
            }),
            Self::NullVectors(word) => nulls(request, &reply, word),
            Self::NanVectors(word) => {
                let reply = nulls(request, &reply, word);
                Reply { body: reply.body.replace("null", "NaN"), ..reply }
            }
            Self::FirstTextOnly => {
                let mut body: Value = serde_json::from_str(&reply.body).expect("an answer in JSON");
                body["data"].as_array_mut().expect("a list of vectors").truncate(1);
                Reply::new(reply.status, &body)
            }
            _ => reply,
        }
    }
}

/// The answer with nulls in the vectors of texts that contain a word.
fn nulls(request: &ReceivedRequest, reply: &Reply, word: &str) -> Reply {
    change_vectors(reply, |at, vector| match request.texts()[at].contains(word) {
        true => json!(vec![Value::Null; vector.len()]),
        false => json!(vector),
    })
}

fn change_json(reply: &Reply, change: impl FnOnce(&mut Value)) -> Reply {
    let Ok(mut body) = serde_json::from_str(&reply.body) else { return reply.clone() };
    change(&mut body);
    Reply { body: body.to_string(), ..reply.clone() }
}

/// The answer with each vector changed, by its number.
fn change_vectors(reply: &Reply, change: impl Fn(usize, Vec<f32>) -> Value) -> Reply {
    let mut body: Value = serde_json::from_str(&reply.body).expect("an answer in JSON");
    for (at, row) in body["data"].as_array_mut().expect("a list of vectors").iter_mut().enumerate() {
        let vector = serde_json::from_value(row["embedding"].take()).expect("a vector");
        row["embedding"] = change(at, vector);
    }
    Reply::new(reply.status, &body)
}
