//! A learning request as it is stored until it is done.

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_store::{MemoryId, Role, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::LearnRequest;
use crate::add::AddRequest;
use crate::extract::{Extractor, Fact};
use crate::message::Message;

/// A learning request and its state.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) request: LearnRequest,
    pub(super) extractor: Extractor,
    pub(super) received: Timestamp,
    /// The extracted facts, once extraction is done.
    pub(super) planned: Option<Vec<PlannedFact>>,
    /// Number of failed attempts.
    pub(super) attempts: usize,
    /// Why the last attempt failed.
    pub(super) error: Option<String>,
    /// Whether it is stored. A stored job whose document is missing was removed.
    pub(super) stored: bool,
}

/// A fact and the id of its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedFact {
    #[serde(with = "id")]
    pub(super) id: MemoryId,
    pub(super) fact: Fact,
}

impl PlannedFact {
    pub(super) fn new(fact: Fact) -> Self {
        Self { id: MemoryId::random(), fact }
    }
}

impl Job {
    pub(super) fn new(request: LearnRequest, extractor: Extractor, received: Timestamp) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        Self { id, request, extractor, received, planned: None, attempts: 0, error: None, stored: false }
    }

    /// The id under which a message is stored, the same in every attempt.
    pub(super) fn message_id(&self, index: usize) -> String {
        format!("{}-{index}", self.id)
    }

    /// The body of its document.
    pub(super) fn to_json(&self) -> Value {
        let add = &self.request.add;
        let [user_id, agent_id, run_id] = add.scope.ids().map(|id| id.map(str::to_owned));
        let message = |message: &Message| StoredMessage {
            role: message.role.clone(),
            content: message.content.clone(),
            name: message.name.clone(),
            timestamp: message.timestamp,
        };
        let stored = StoredJob {
            user_id,
            agent_id,
            run_id,
            messages: add.messages.iter().map(message).collect(),
            metadata: add.metadata.clone(),
            timestamp: add.timestamp,
            session: add.session.clone(),
            unordered: add.unordered,
            expiration_date: add.expiration_date,
            links: add.links.iter().map(|(id, kind)| (id.to_string(), kind.clone())).collect(),
            instructions: self.request.instructions.clone(),
            procedure: self.request.procedure,
            extractor: self.extractor,
            received: self.received,
            planned: self.planned.clone(),
            attempts: self.attempts,
            error: self.error.clone(),
        };
        serde_json::json!(stored)
    }

    /// Reads a body that [`Job::to_json`] wrote; `None` if it is not one.
    pub(super) fn from_json(id: &str, value: &Value) -> Option<Self> {
        let stored: StoredJob = serde_json::from_value(value.clone()).ok()?;
        let message = |message: StoredMessage| Message {
            role: message.role,
            content: message.content,
            name: message.name,
            timestamp: message.timestamp,
        };
        let links = stored.links.into_iter().map(|(id, kind)| Some((id.parse().ok()?, kind))).collect::<Option<_>>()?;
        let add = AddRequest {
            scope: Scope { user_id: stored.user_id, agent_id: stored.agent_id, run_id: stored.run_id },
            messages: stored.messages.into_iter().map(message).collect(),
            metadata: stored.metadata,
            timestamp: stored.timestamp,
            session: stored.session,
            unordered: stored.unordered,
            expiration_date: stored.expiration_date,
            skip_duplicates: true,
            links,
        };
        Some(Self {
            id: id.to_owned(),
            request: LearnRequest { add, instructions: stored.instructions, procedure: stored.procedure },
            extractor: stored.extractor,
            received: stored.received,
            planned: stored.planned,
            attempts: stored.attempts,
            error: stored.error,
            stored: true,
        })
    }
}

/// The body of a job's document.
#[derive(Serialize, Deserialize)]
struct StoredJob {
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
    messages: Vec<StoredMessage>,
    metadata: Map<String, Value>,
    timestamp: Option<Timestamp>,
    session: Option<String>,
    unordered: bool,
    expiration_date: Option<Date>,
    links: Vec<(String, String)>,
    instructions: Option<String>,
    procedure: bool,
    extractor: Extractor,
    received: Timestamp,
    planned: Option<Vec<PlannedFact>>,
    attempts: usize,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredMessage {
    role: Role,
    content: String,
    name: Option<String>,
    timestamp: Option<Timestamp>,
}

/// A memory id as a JSON text.
mod id {
    use mnemon_store::MemoryId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &MemoryId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemoryId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_a_round_trip_through_json() {
        let add = AddRequest {
            scope: Scope::new(Some("ana"), Some("bot"), None).unwrap(),
            messages: vec![Message {
                role: Role::User,
                content: "x".into(),
                name: Some("Ana".into()),
                timestamp: None,
            }],
            metadata: [("k".to_owned(), Value::from(0.1))].into_iter().collect(),
            timestamp: Some("2024-05-01T12:00:00.000001Z".parse().unwrap()),
            session: Some("s".into()),
            expiration_date: Some("2030-01-02".parse().unwrap()),
            links: vec![(MemoryId::Number(7), "related".into())],
            ..AddRequest::default()
        };
        let request = LearnRequest { add, instructions: Some("be brief".into()), procedure: true };
        let mut job = Job::new(request, Extractor::Llm, "2024-06-01T00:00:00Z".parse().unwrap());
        let fact = Fact {
            text: "x".into(),
            attributed_to: Some(Role::User),
            sources: vec![0],
            related: vec![MemoryId::Number(7)],
            supersedes: vec![MemoryId::random()],
        };
        job.planned = Some(vec![PlannedFact::new(fact)]);
        let again = Job::from_json(&job.id, &job.to_json()).unwrap();
        assert_eq!(again.to_json(), job.to_json());
        assert_eq!(again.planned, job.planned);
        assert_eq!(
            (&again.request.add.scope, &again.request.add.messages),
            (&job.request.add.scope, &job.request.add.messages)
        );
        assert!(Job::from_json("x", &serde_json::json!({"messages": []})).is_none());
    }
}
