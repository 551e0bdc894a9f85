//! Learning: facts are extracted from what was said, and stored with the messages they came from.
//!
//! A request that needs a language model is written to the ledger before the model is asked, and its facts, with the ids
//! they will have, before they are stored. A process that ends in between leaves a request that another takes up: without
//! asking again where the model has answered, and storing nothing twice.

mod job;
mod queue;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use mnemon_store::{Filter, Link, MemoryId, SessionMessage, View, keys};

use crate::add::{AddRequest, Added, Draft, in_microseconds, payload};
use crate::analyse::analyse;
use crate::engine::{time_text, today};
use crate::extract::{self, Extractor, Fact, Question};
use crate::{Engine, EngineError, Result};
use job::{Job, Planned};
pub use queue::{Waiting, Worked};

/// Messages before the new ones that are shown to the model.
const EARLIER: usize = 10;
/// Memories near the new messages that are shown to the model.
const EXISTING: usize = 10;
/// Bytes of a request's own instructions: they are sent with each stretch of its messages.
pub const MAX_INSTRUCTIONS: usize = 64 << 10;
/// mem0's name of a record of what an agent did.
const PROCEDURE: &str = "procedural_memory";

/// What to learn from, and whose memory it is.
#[derive(Clone, Debug, Default)]
pub struct LearnRequest {
    /// The messages, the owner, and what is kept beside each fact. Facts that the owner already has are never stored
    /// again, so `skip_duplicates` means nothing here.
    pub add: AddRequest,
    /// What the model is told beside its task, in place of [`crate::Understanding::instructions`]; at most 64 KiB.
    pub instructions: Option<String>,
    /// One record of what an agent did, in place of facts. Needs an `agent_id`, and a language model.
    pub procedure: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The name of the request, by which it can be found while it waits.
    pub event_id: String,
    /// Who extracted, or will.
    pub extractor: Extractor,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// These facts were stored, durably; what was known before is not among them.
    Stored(Vec<Added>),
    /// A model is away. The messages are kept, durably, and tried again until it is back.
    Waiting {
        /// Why, with what the model's service said: for operators.
        reason: String,
        /// Why, for whoever asked.
        told: &'static str,
    },
    /// The owner's memories were deleted while it was worked on, or somebody else has finished it: nothing was stored by
    /// this call.
    Dropped,
}

impl Engine {
    /// Learns from messages: facts are extracted and stored.
    ///
    /// If a model fails the request waits in the ledger, and [`Engine::work_off`] takes it up.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for no messages, empty ones or bad metadata, before any model is asked;
    /// [`EngineError::NoLanguageModel`] for a procedure without one; a model's failure if there is no ledger to wait in.
    pub fn learn(&self, request: LearnRequest) -> Result<Learned> {
        self.learn_telling(request, &mut |_| {})
    }

    /// The same; `kept` is told the request's name once it is kept, before any model is asked.
    ///
    /// # Errors
    /// As [`Engine::learn`].
    pub fn learn_telling(&self, request: LearnRequest, kept: &mut dyn FnMut(&str)) -> Result<Learned> {
        let (extractor, request) = self.checked(request)?;
        let mut job = Job::new(request, extractor, Timestamp::now());
        // What no model is needed for is done before it could be lost.
        if extractor == Extractor::Llm {
            self.keep(&mut job)?;
            kept(&job.id);
        }
        let outcome = match self.work(&mut job) {
            Ok(Some(added)) => {
                self.done(&job.id)?;
                Outcome::Stored(added)
            }
            Ok(None) => Outcome::Dropped,
            Err(error) if error.is_models_fault() && self.understanding.ledger.is_some() => {
                if !job.kept {
                    self.keep(&mut job)?;
                }
                self.postpone(&job.id, &error)?;
                Outcome::Waiting { reason: error.to_string(), told: told(&error) }
            }
            Err(error) => {
                // What can't be stored now is told, so nobody believes it to be kept.
                self.done(&job.id)?;
                return Err(error);
            }
        };
        Ok(Learned { event_id: job.id, extractor, outcome })
    }

    /// Who would extract, if the request can be served.
    fn checked(&self, mut request: LearnRequest) -> Result<(Extractor, LearnRequest)> {
        // An agent's call of a tool comes as a message without words. Alone it is refused: there is nothing to learn.
        let messages = &mut request.add.messages;
        if messages.iter().any(|message| !message.content.trim().is_empty()) {
            messages.retain(|message| !message.content.trim().is_empty());
        }
        self.check_request(&request.add)?;
        let extractor = match self.understanding.llm {
            Some(_) => Extractor::Llm,
            None => Extractor::Extractive,
        };
        if request.procedure && request.add.scope.agent_id.is_none() {
            return Err(EngineError::invalid("a procedural memory is an agent's: give agent_id"));
        }
        if request.procedure && extractor != Extractor::Llm {
            return Err(EngineError::NoLanguageModel("a procedural memory"));
        }
        if let Some(bytes) = request.instructions.as_ref().map(String::len).filter(|bytes| *bytes > MAX_INSTRUCTIONS) {
            let told = format!("the instructions have {bytes} bytes; keep them to {MAX_INSTRUCTIONS}");
            return Err(EngineError::invalid(told));
        }
        Ok((extractor, request))
    }

    /// Messages that a memory was extracted from; those that were forgotten are left out.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn evidence(&self, memory: &mnemon_store::Memory) -> Result<Vec<SessionMessage>> {
        let ids = crate::delete::source_messages(memory);
        Ok(if ids.is_empty() { Vec::new() } else { self.store.messages(&ids)?.into_iter().flatten().collect() })
    }

    /// Extracts, unless that was done before, and stores; `None` if the request is there no more.
    fn work(&self, job: &mut Job) -> Result<Option<Vec<Added>>> {
        let begun = Instant::now();
        if job.planned.is_none() {
            let planned = self.facts_of(job)?.into_iter().map(Planned::new).collect();
            metrics::histogram!("mnemon_extract_seconds", "extractor" => job.extractor.as_str())
                .record(begun.elapsed());
            job.planned = self.settle_on(job, planned)?;
            if job.planned.is_none() {
                return Ok(None);
            }
        }
        let Some(added) = self.store_facts(job)? else { return Ok(None) };
        metrics::counter!("mnemon_extracted_facts_total", "extractor" => job.extractor.as_str())
            .increment(added.len() as u64);
        Ok(Some(added))
    }

    fn facts_of(&self, job: &Job) -> Result<Vec<Fact>> {
        let request = &job.request;
        let Some(llm) = self.understanding.llm.as_deref().filter(|_| job.extractor == Extractor::Llm) else {
            return Ok(extract::sentences(&request.add.messages));
        };
        let messages: Vec<_> =
            request.add.messages.iter().filter(|message| message.role != "system").cloned().collect();
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let scope = &request.add.scope;
        let earlier = if request.procedure { Vec::new() } else { self.store.last_messages(scope, EARLIER)? };
        let existing = if request.procedure { Vec::new() } else { self.near(job)? };
        let question = Question {
            messages: &messages,
            earlier: &earlier,
            existing: &existing,
            observed: request.add.timestamp.or(messages[0].timestamp).unwrap_or(job.received),
            now: job.received,
            instructions: request.instructions.as_deref().or(self.understanding.instructions.as_deref()),
            of_agent: scope.agent_id.is_some() && scope.user_id.is_none(),
        };
        if request.procedure {
            let text = extract::procedure(llm, &question)?;
            let sources = (0..messages.len()).collect();
            return Ok(vec![Fact { text, attributed_to: None, sources, related: Vec::new(), supersedes: Vec::new() }]);
        }
        let mut facts = extract::extract(llm, &question, &mut || self.renew(&job.id))?;
        // Their sources are counted among the messages that were shown.
        let shown: Vec<usize> =
            (0..request.add.messages.len()).filter(|at| request.add.messages[*at].role != "system").collect();
        for fact in &mut facts {
            fact.sources = fact.sources.iter().filter_map(|source| shown.get(*source).copied()).collect();
        }
        Ok(facts)
    }

    /// Memories of the owner that are nearest to what was said, with their texts.
    fn near(&self, job: &Job) -> Result<Vec<(MemoryId, String)>> {
        let add = &job.request.add;
        let Some(filter) = Filter::of_scope(&add.scope) else { return Ok(Vec::new()) };
        let said: Vec<String> =
            add.messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect();
        let vector = self.embed(&[&said.join("\n")])?.pop().unwrap_or_default();
        let view = View::new(&filter, Some(today()));
        let ids: Vec<MemoryId> = self.store.nearest(&view, &vector, EXISTING)?.iter().map(|(id, _)| *id).collect();
        let memories = self.store.get(&ids)?.into_iter().flatten();
        Ok(memories.map(|memory| (memory.id, memory.payload.text().to_owned())).collect())
    }

    /// `None` if the request is there no more.
    fn store_facts(&self, job: &Job) -> Result<Option<Vec<Added>>> {
        let request = AddRequest { skip_duplicates: true, ..job.request.add.clone() };
        let now = time_text(job.received);
        let planned = job.planned.as_deref().unwrap_or_default();
        let drafts: Vec<Draft<'_>> = planned.iter().map(|planned| draft(job, planned, &now)).collect();
        let said: Vec<SessionMessage> = request
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.role != "system")
            .map(|(at, message)| SessionMessage {
                id: job.message_id(at),
                session_scope: request.scope.session_scope(),
                role: Some(message.role.clone()),
                content: Some(message.content.clone()),
                name: message.name.clone(),
                created_at: Some(message.timestamp.or(request.timestamp).map_or_else(|| now.clone(), time_text)),
            })
            .collect();
        let requests = [request];
        let stored = self.store_drafts(&requests, &drafts, &said, &now, &|| self.is_wanted(job))?;
        Ok(stored.map(|mut stored| stored.pop().unwrap_or_default()))
    }
}

/// A fact on its way to a record.
fn draft<'j>(job: &'j Job, planned: &'j Planned, now: &str) -> Draft<'j> {
    let (add, fact) = (&job.request.add, &planned.fact);
    let analysis = analyse(&fact.text);
    let source = fact.sources.last().and_then(|source| add.messages.get(*source));
    let told = add.timestamp.or(source.and_then(|message| message.timestamp));
    // A sentence is somebody's own words; what a model writes names whom it speaks of.
    let said_by = source.filter(|_| job.extractor == Extractor::Extractive);
    let mut payload = payload(add, &fact.text, said_by, &analysis.lemmas, now);
    if job.request.procedure {
        payload.set(keys::MEMORY_TYPE, PROCEDURE);
    }
    if let Some(who) = &fact.attributed_to {
        payload.set(keys::ATTRIBUTED_TO, who.as_str());
    }
    let sources: Vec<String> = fact.sources.iter().map(|source| job.message_id(*source)).collect();
    payload.set(keys::SOURCE_MESSAGES, sources);
    let links = fact.related.iter().map(|id| (*id, Link::RELATED));
    Draft {
        request: 0,
        id: planned.id,
        role: fact.attributed_to.as_deref().unwrap_or("user"),
        sources: fact.sources.clone(),
        payload,
        analysis,
        time: in_microseconds(told.unwrap_or(job.received)),
        dated: told.is_some(),
        links: links.chain(fact.supersedes.iter().map(|id| (*id, Link::SUPERSEDES))).collect(),
    }
}

/// Why a request waits, without the words of a service, which may hold anything.
fn told(error: &EngineError) -> &'static str {
    use mnemon_models::{ModelError, ModelKind};
    match error {
        EngineError::Model(ModelError::Unavailable { kind: ModelKind::Embedder, .. }) => {
            "the embedder is not available"
        }
        EngineError::Model(ModelError::Unavailable { .. }) => "the language model is not available",
        EngineError::Model(ModelError::Refused { kind: ModelKind::LanguageModel, .. }) => {
            "the language model refuses; the server's log says why"
        }
        EngineError::Model(ModelError::Answer { kind: ModelKind::LanguageModel, .. }) | EngineError::Extraction(_) => {
            "the language model's answer can't be used; the server's log says why"
        }
        _ => "a model does not work as it is set up; the server's log says why",
    }
}

/// Seconds before a request is tried again whose model is away; the last for every further time.
const AWAY: [u64; 5] = [2, 5, 15, 30, 60];
/// The same where the model answered, but not as it should: that is for people to mend.
const WRONG: [u64; 6] = [2, 10, 60, 5 * 60, 15 * 60, 60 * 60];

/// No service is left alone for longer, whatever it asks for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Before a request is tried again that was tried so often.
fn pause(attempts: usize, error: &EngineError) -> Duration {
    let (pauses, asked) = match error {
        EngineError::Model(mnemon_models::ModelError::Unavailable { wait, .. }) => {
            (&AWAY[..], wait.unwrap_or_default())
        }
        _ => (&WRONG[..], Duration::ZERO),
    };
    Duration::from_secs(pauses[attempts.min(pauses.len() - 1)]).max(asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use mnemon_models::{ModelError, ModelKind};

    use super::*;

    #[test]
    fn pauses_grow_and_are_as_long_as_a_service_asks() {
        let away = |wait: Option<u64>| {
            EngineError::Model(ModelError::Unavailable {
                kind: ModelKind::LanguageModel,
                server: String::new(),
                reason: String::new(),
                wait: wait.map(Duration::from_secs),
            })
        };
        let seconds = |attempts, error: &EngineError| pause(attempts, error).as_secs();
        assert_eq!([0, 1, 9].map(|attempts| seconds(attempts, &away(None))), [2, 5, 60]);
        assert_eq!([1, 600, 86_400].map(|wait| seconds(0, &away(Some(wait)))), [2, 600, 3600]);
        assert_eq!([0, 9].map(|attempts| seconds(attempts, &EngineError::Extraction(String::new()))), [2, 3600]);
    }
}
