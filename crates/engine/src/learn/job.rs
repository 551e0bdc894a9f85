//! A learning request that is being processed, and how its event holds it.

use jiff::Timestamp;

use super::request::LearnRequest;
use crate::add::AddRequest;
use crate::event::{Event, JobState, NotLearnt, PlannedFact, RequestKind, StoredLink, StoredMessage};
use crate::extract::Extractor;
use crate::message::Message;

/// A learning request and its state.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The id of its event.
    pub(super) id: String,
    pub(super) request: LearnRequest,
    pub(super) extractor: Extractor,
    pub(super) received: Timestamp,
    /// The extracted facts, once extraction is done.
    pub(super) planned: Option<Vec<PlannedFact>>,
    /// Messages that nothing can be learnt from.
    pub(super) not_learnt: Vec<NotLearnt>,
    /// Number of failed attempts.
    pub(super) attempts: usize,
    /// Number of those in which a model answered.
    pub(super) refusals: usize,
    /// Whether its event is queued. If it is not any more, the job was cancelled or finished.
    pub(super) queued: bool,
}

impl Job {
    pub(super) fn new(request: LearnRequest, extractor: Extractor, received: Timestamp) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        Self {
            id,
            request,
            extractor,
            received,
            planned: None,
            not_learnt: Vec::new(),
            attempts: 0,
            refusals: 0,
            queued: false,
        }
    }

    /// The id under which a message is stored, the same in every attempt.
    pub(super) fn message_id(&self, index: usize) -> String {
        format!("{}-{index}", self.id)
    }

    /// The user who owns the facts.
    pub(super) fn owner(&self) -> Option<&str> {
        self.request.add.scope.user_id.as_deref()
    }

    /// Its event while it is pending, for this reason.
    pub(super) fn event(&self, reason: &str) -> Event {
        event_of_add(self.id.clone(), self.state(), reason)
    }

    pub(super) fn state(&self) -> JobState {
        let add = &self.request.add;
        let [user_id, agent_id, run_id] = add.scope.ids().map(|id| id.map(str::to_owned));
        let message = |message: &Message| StoredMessage {
            role: message.role.clone(),
            content: message.content.clone(),
            name: message.name.clone(),
            timestamp: message.timestamp,
        };
        JobState {
            user_id,
            agent_id,
            run_id,
            messages: add.messages.iter().map(message).collect(),
            metadata: add.metadata.clone(),
            fields: add.fields.clone(),
            timestamp: add.timestamp,
            session: add.session.clone(),
            unordered: add.unordered,
            expiration_date: add.expiration_date,
            immutable: add.immutable,
            links: add.links.iter().map(|(id, kind)| StoredLink(*id, kind.clone())).collect(),
            instructions: self.request.instructions.clone(),
            procedure: self.request.procedure,
            extractor: self.extractor,
            received: self.received,
            planned: self.planned.clone(),
            attempts: self.attempts,
            refusals: Some(self.refusals),
            failure: None,
            not_learnt: self.not_learnt.clone(),
        }
    }

    /// The queued job of an event.
    pub(super) fn from_state(id: String, state: JobState) -> Self {
        let message = |message: StoredMessage| Message {
            role: message.role,
            content: message.content,
            name: message.name,
            timestamp: message.timestamp,
            unread_parts: 0,
        };
        let add = AddRequest {
            scope: state.scope(),
            messages: state.messages.into_iter().map(message).collect(),
            metadata: state.metadata,
            fields: state.fields,
            timestamp: state.timestamp,
            session: state.session,
            unordered: state.unordered,
            expiration_date: state.expiration_date,
            immutable: state.immutable,
            skip_duplicates: true,
            links: state.links.into_iter().map(|StoredLink(id, kind)| (id, kind)).collect(),
        };
        Self {
            id,
            request: LearnRequest { add, instructions: state.instructions, procedure: state.procedure },
            extractor: state.extractor,
            received: state.received,
            planned: state.planned,
            not_learnt: state.not_learnt,
            attempts: state.attempts,
            // A job of an older version may have failed in this way each time.
            refusals: state.refusals.unwrap_or(state.attempts),
            queued: true,
        }
    }
}

/// The event of a learning request that is pending for this reason.
pub(super) fn event_of_add(id: String, state: JobState, reason: &str) -> Event {
    let payload = Event::describe_add(&state.scope(), state.fields.app_id.as_deref(), true);
    let mut event = Event::of_request(id, RequestKind::Add, payload, state.received);
    event.error = Some(reason.to_owned());
    event.job = Some(state);
    event
}

#[cfg(test)]
mod tests {
    use mnemon_store::{MemoryId, Role, Scope};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::extract::Fact;
    use crate::fields::PlatformFields;

    #[test]
    fn a_job_survives_a_round_trip_through_json() {
        let add = AddRequest {
            scope: Scope::new(Some("ana"), Some("bot"), None).unwrap(),
            messages: vec![Message {
                role: Role::User,
                content: "x".into(),
                name: Some("Ana".into()),
                ..Message::default()
            }],
            metadata: [("k".to_owned(), Value::from(0.1)), ("app_id".to_owned(), "mine".into())].into_iter().collect(),
            fields: PlatformFields {
                app_id: Some("diary".into()),
                categories: vec!["a".into()],
                structured_attributes: Some(Map::new()),
            },
            timestamp: Some("2024-05-01T12:00:00.000001Z".parse().unwrap()),
            session: Some("s".into()),
            immutable: true,
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
        let event = job.event("it is queued");
        let stored = json!(event);
        let read: Event = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((&read, json!(read)), (&event, stored.clone()));
        let again = Job::from_state(read.id, read.job.unwrap());
        assert_eq!(json!(again.event("it is queued")), stored);
        assert_eq!(
            (&again.request.add.scope, &again.request.add.messages, &again.request.add.links),
            (&job.request.add.scope, &job.request.add.messages, &job.request.add.links)
        );
        let payload = json!({"user_id": "ana", "agent_id": "bot", "app_id": "diary", "run_id": null, "infer": true});
        assert_eq!((&stored["payload"], &stored["status"]), (&payload, &json!("PENDING")));
        assert_eq!(stored["job"]["links"], json!([[7.to_string(), "related"]]));
    }

    #[test]
    fn a_finished_event_does_not_keep_its_messages() {
        let add = AddRequest {
            messages: vec![Message { content: "private".into(), ..Message::default() }],
            ..AddRequest::default()
        };
        let request = LearnRequest { add, ..LearnRequest::default() };
        let job = Job::new(request, Extractor::Llm, "2024-06-01T00:00:00Z".parse().unwrap());
        let ends: [fn(&mut Event); 2] = [|event| event.succeed(Vec::new()), |event| event.fail("cancelled")];
        for end in ends {
            let mut event = job.event("it is queued");
            assert!(json!(event).to_string().contains("private"));
            end(&mut event);
            assert!(!json!(event).to_string().contains("private"));
        }
    }
}
