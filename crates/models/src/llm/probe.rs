//! A small conversation that shows whether an endpoint fails because of the content of another one.

use serde_json::{Map, Value};

use super::chat::{ChatMessage, ChatRequest, ChatRole};
use super::client::LlmClient;
use super::quirks::Quirks;
use super::wire;
use crate::service::{Doubt, Probe, Verdict};

/// Maximum number of bytes that are read of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// The small conversations that belong to a request.
pub(super) struct ChatProbe<'c> {
    client: &'c LlmClient,
    /// With the parameters of the request.
    body: Map<String, Value>,
    /// Without optional parameters, if the request has some and no request with them was answered yet.
    bare: Option<Map<String, Value>>,
    /// The verdict of an earlier probe.
    known: Option<Verdict>,
}

impl<'c> ChatProbe<'c> {
    pub(super) fn new(
        client: &'c LlmClient,
        request: &ChatRequest,
        quirks: &Quirks,
        is_settled: bool,
        known: Option<Verdict>,
    ) -> Self {
        let has_system = request.messages.iter().any(|message| message.role == ChatRole::System);
        // Some services refuse to answer in JSON unless a message asks for it.
        let (instruction, question) = match request.json {
            Some(_) => ("Answer with an empty JSON object.", "hello, answer with the JSON object {}"),
            None => ("Answer with one word.", "hello"),
        };
        let mut messages = vec![ChatMessage::new(ChatRole::User, question)];
        if has_system {
            messages.insert(0, ChatMessage::new(ChatRole::System, instruction));
        }
        let small = ChatRequest { messages, json: request.json.clone(), max_tokens: request.max_tokens };
        let body = wire::body(&client.config, &small, quirks, false);
        let bare = quirks.guesses(&body).pop().filter(|_| !is_settled);
        let bare = bare.map(|(quirks, _)| wire::body(&client.config, &small, &quirks, false));
        Self { client, body, bare, known }
    }

    async fn is_answered(&self, body: &Map<String, Value>) -> bool {
        self.client.service.post_once(wire::path(self.client.config.provider), body, MAX_ANSWER).await.is_ok()
    }
}

impl Probe for ChatProbe<'_> {
    async fn probe(&self, doubt: Doubt) -> Option<Verdict> {
        if self.known.is_some() {
            return self.known;
        }
        if self.is_answered(&self.body).await {
            return Some(Verdict::Content);
        }
        // The service may be down for a moment only, so parameters are not given up before the last retry has failed. One that
        // does not answer in time has not looked at them.
        let bare = self.bare.as_ref().filter(|_| doubt.is_last && doubt.status != 0)?;
        self.is_answered(bare).await.then_some(Verdict::Parameters)
    }
}
