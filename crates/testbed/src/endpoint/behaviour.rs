//! What real endpoints do otherwise than the standard says.

use serde_json::{Value, json};

use super::vectors;
use crate::service::{ReceivedRequest, Reply};

/// One peculiarity of an endpoint. Embeddings and chats are concerned alike, unless the variant says otherwise.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Refuses a text with more characters: each text to embed, or all messages of a chat together.
    TextLimit(usize, Reply),
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
    /// Sends vectors in base64 even if floats were requested.
    Base64,
    /// Sends vectors of this length, also if another was requested.
    VectorLength(usize),
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
            Self::BatchLimit(limit, reply) => (request.is_for_embeddings() && texts.len() > *limit, reply),
            Self::RefusedKey(key, reply) => (request.body.get(key).is_some(), reply),
            Self::RefusedWord(word, reply) => (texts.iter().any(|text| text.contains(word)), reply),
            Self::Always(reply) => (true, reply),
            Self::ListRefused(reply) => (request.body["input"].is_array(), reply),
            Self::Base64 | Self::VectorLength(_) | Self::FirstTextOnly | Self::NullVectors(_) => return None,
        };
        is_refused.then(|| reply.clone())
    }

    /// The answer as this behaviour changes it.
    pub(super) fn change(&self, request: &ReceivedRequest, reply: Reply) -> Reply {
        if !request.is_for_embeddings() || !reply.status.starts_with("200") {
            return reply;
        }
        match self {
            Self::Base64 => change_vectors(&reply, |_, vector| json!(vectors::base64(&vector))),
            Self::VectorLength(length) => change_vectors(&reply, |_, mut vector| {
                vector.resize(*length, 0.0);
                json!(vector)
            }),
            Self::NullVectors(word) => change_vectors(&reply, |at, vector| match request.texts()[at].contains(word) {
                true => json!(vec![Value::Null; vector.len()]),
                false => json!(vector),
            }),
            Self::FirstTextOnly => {
                let mut body: Value = serde_json::from_str(&reply.body).expect("an answer in JSON");
                body["data"].as_array_mut().expect("a list of vectors").truncate(1);
                Reply::new(reply.status, &body)
            }
            _ => reply,
        }
    }
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
