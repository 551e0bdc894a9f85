//! Processes a learning request: extracts its facts and stores them.

use std::time::Instant;

use jiff::Timestamp;
use mnemon_models::ChatModel;
use mnemon_store::{Filter, Link, MemoryId, SessionMessage, View, keys, run_search, time_text};

use super::job::Job;
use super::jobs::Jobs;
use super::outcome::{AddOutcome, JobResult, LearnResult};
use super::request::LearnRequest;
use super::retry::public_reason;
use crate::add::{AddRequest, AddedMemory, Draft, DraftBatch, build_payload};
use crate::analyse::analyse;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::event::{NotLearnt, PlannedFact};
use crate::extract::{Extraction, ExtractionInput, Extractor, Fact, extract_by_rules, extract_facts, record_procedure};
use crate::message::{Message, without_bom};
use crate::time::{in_microseconds, today};

/// Number of earlier messages in the prompt.
const EARLIER_MESSAGES: usize = 10;
/// Number of existing memories in the prompt.
const EXISTING_MEMORIES: usize = 10;
/// Maximum size of a request's instructions in bytes: they are part of the prompt for each window of its messages.
pub const MAX_INSTRUCTIONS: usize = 64 << 10;
/// mem0's type of a memory that records what an agent did.
const PROCEDURE_TYPE: &str = "procedural_memory";

/// Processes learning requests and their jobs.
pub(super) struct Learner<'e> {
    engine: &'e Engine,
    jobs: Jobs,
}

impl<'e> Learner<'e> {
    pub(super) fn new(engine: &'e Engine) -> Self {
        Self { engine, jobs: Jobs::new(&engine.model_services) }
    }

    /// See [`Engine::learn_reporting`].
    pub(super) fn learn(&self, request: LearnRequest, on_stored: &mut dyn FnMut(&str)) -> Result<LearnResult> {
        let mut job = self.new_job(request)?;
        // Without a model the request is processed before it could be lost.
        if job.extractor == Extractor::Llm {
            self.jobs.push_claimed(&mut job)?;
            on_stored(&job.id);
        }
        let outcome = match self.process(&mut job) {
            Ok(Some(added)) => {
                // The facts are stored. When the lease expires, a worker ends the job without storing them again.
                if let Err(error) = self.jobs.succeed(&job, &added) {
                    tracing::warn!(event_id = job.id, %error, "could not end a job whose facts are stored");
                }
                AddOutcome::Stored(added)
            }
            Ok(None) => AddOutcome::Cancelled,
            Err(error) if error.is_model_error() && self.jobs.are_stored() => {
                if !job.queued {
                    self.jobs.push_claimed(&mut job)?;
                }
                self.retry_later(&job, error)?
            }
            Err(error) => {
                // The caller learns of the error, so the request must not be tried again.
                if job.queued {
                    self.jobs.fail(&job.id, "the request was refused and is not kept")?;
                }
                return Err(error);
            }
        };
        Ok(LearnResult { event_id: job.id, extractor: job.extractor, outcome, not_learnt: job.not_learnt })
    }

    /// See [`Engine::learn_later`].
    pub(super) fn enqueue(&self, request: LearnRequest) -> Result<String> {
        let mut job = self.new_job(request)?;
        if self.jobs.are_stored() {
            self.jobs.push(&job)?;
        } else {
            let _ = self.process(&mut job)?;
        }
        Ok(job.id)
    }

    /// See [`Engine::run_due_job`].
    pub(super) fn run_due_job(&self) -> Result<Option<JobResult>> {
        let Some(mut job) = self.jobs.claim_next()? else { return Ok(None) };
        let outcome = match self.process(&mut job) {
            // If the job is not pending any more, another worker has finished it and reports its end.
            Ok(Some(added)) if self.jobs.succeed(&job, &added)? => AddOutcome::Stored(added),
            Ok(_) => AddOutcome::Cancelled,
            Err(EngineError::Store(error)) => return Err(error.into()),
            // The request was accepted, so it is kept even if it can't be processed now.
            Err(error) => self.retry_later(&job, error)?,
        };
        Ok(Some(JobResult { event_id: job.id, scope: job.request.add.scope, outcome }))
    }

    fn retry_later(&self, job: &Job, error: EngineError) -> Result<AddOutcome> {
        let public_reason = public_reason(&error);
        let is_tried_again = self.jobs.retry_later(job, &error)?;
        let error = Some(Box::new(error));
        Ok(match is_tried_again {
            true => AddOutcome::Pending { error, public_reason },
            false => AddOutcome::Parked { error, public_reason },
        })
    }

    /// Checks a request and makes a job of it.
    fn new_job(&self, mut request: LearnRequest) -> Result<Job> {
        request.add.scope = self.engine.stored_scope(&request.add.scope)?;
        request.add.check(self.engine.store())?;
        request.add.messages.retain(|message| !message.is_blank());
        for message in &mut request.add.messages {
            message.content = without_bom(&message.content).into_owned();
        }
        let extractor = match self.engine.language_model() {
            Some(_) => Extractor::Llm,
            None => Extractor::Extractive,
        };
        if request.procedure && request.add.scope.agent_id.is_none() {
            return Err(EngineError::invalid("a procedural memory belongs to an agent: give agent_id"));
        }
        if request.procedure && extractor != Extractor::Llm {
            return Err(EngineError::NoLanguageModel("a procedural memory"));
        }
        if let Some(bytes) = request.instructions.as_ref().map(String::len).filter(|bytes| *bytes > MAX_INSTRUCTIONS) {
            return Err(EngineError::invalid(format!(
                "the instructions have {bytes} bytes; the maximum is {MAX_INSTRUCTIONS}"
            )));
        }
        Ok(Job::new(request, extractor, Timestamp::now()))
    }

    /// Extracts the facts, unless the job has them already, and stores them. `None` if the job was cancelled or
    /// finished.
    fn process(&self, job: &mut Job) -> Result<Option<Vec<AddedMemory>>> {
        let start = Instant::now();
        if job.planned.is_none() {
            let (facts, not_learnt) = self.extract(job)?;
            let facts = facts.into_iter().map(PlannedFact::new).collect();
            metrics::histogram!("mnemon_extract_seconds", "extractor" => job.extractor.as_str())
                .record(start.elapsed());
            job.planned = self.jobs.record_facts(job, facts, &not_learnt)?;
            job.not_learnt = not_learnt;
            if job.planned.is_none() {
                return Ok(None);
            }
        }
        let Some(added) = self.store_facts(job)? else { return Ok(None) };
        metrics::counter!("mnemon_extracted_facts_total", "extractor" => job.extractor.as_str())
            .increment(added.len() as u64);
        Ok(Some(added))
    }

    /// The facts, and the messages that nothing can be learnt from.
    fn extract(&self, job: &Job) -> Result<(Vec<Fact>, Vec<NotLearnt>)> {
        match self.engine.language_model().filter(|_| job.extractor == Extractor::Llm) {
            Some(llm) => self.extract_by_model(llm, job),
            None => Ok((extract_by_rules(&job.request.add.messages), Vec::new())),
        }
    }

    fn extract_by_model(&self, llm: &dyn ChatModel, job: &Job) -> Result<(Vec<Fact>, Vec<NotLearnt>)> {
        let LearnRequest { add, instructions, procedure } = &job.request;
        let (indexes, messages): (Vec<usize>, Vec<Message>) =
            add.messages.iter().cloned().enumerate().filter(|(_, message)| !message.role.is_instruction()).unzip();
        if messages.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let scope = &add.scope;
        let (earlier, existing) = if *procedure {
            (Vec::new(), Vec::new())
        } else {
            (self.engine.store.last_messages(scope, EARLIER_MESSAGES)?, self.nearest_memories(add)?)
        };
        let input = ExtractionInput {
            messages: &messages,
            earlier: &earlier,
            existing: &existing,
            observed: add.timestamp.or(messages[0].timestamp).unwrap_or(job.received),
            now: job.received,
            instructions: instructions.as_deref().or(self.engine.model_services.instructions.as_deref()),
            of_agent: scope.agent_id.is_some() && scope.user_id.is_none(),
        };
        if *procedure {
            let text = record_procedure(llm, &input)?;
            let sources = (0..messages.len()).collect();
            let fact = Fact { text, attributed_to: None, sources, related: Vec::new(), supersedes: Vec::new() };
            return Ok((vec![fact], Vec::new()));
        }
        let Extraction { mut facts, refused } = extract_facts(llm, &input, &mut || self.jobs.renew(&job.id))?;
        for fact in &mut facts {
            // From indexes in the prompt to indexes in the request.
            fact.sources = fact.sources.iter().filter_map(|source| indexes.get(*source).copied()).collect();
        }
        let not_learnt = refused.into_iter().filter_map(|(at, error)| {
            let (message, role) = (*indexes.get(at)?, messages.get(at)?.role.clone());
            Some(NotLearnt { message, role, reason: public_reason(&error).to_owned() })
        });
        Ok((facts, not_learnt.collect()))
    }

    /// The owner's memories that are nearest to the messages, with their texts.
    fn nearest_memories(&self, add: &AddRequest) -> Result<Vec<(MemoryId, String)>> {
        let Some(filter) = Filter::of_scope(&add.scope) else { return Ok(Vec::new()) };
        let texts: Vec<String> =
            add.messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect();
        let vector = self.engine.embed(&[&texts.join("\n")])?.pop().unwrap_or_default();
        let view = View::new(&filter, Some(today()));
        let store = self.engine.store();
        let nearest = run_search(store, view, |reads| reads.nearest(&vector, EXISTING_MEMORIES))?;
        let ids: Vec<MemoryId> = nearest.iter().map(|(id, _)| *id).collect();
        let memories = store.get(&ids)?.into_iter().flatten();
        Ok(memories.map(|memory| (memory.id, memory.payload.text().to_owned())).collect())
    }

    /// Stores the facts of a job with their source messages. `None` if the job was cancelled or finished.
    fn store_facts(&self, job: &Job) -> Result<Option<Vec<AddedMemory>>> {
        let request = AddRequest { skip_duplicates: true, ..job.request.add.clone() };
        let now = time_text(job.received);
        let drafts: Vec<Draft> =
            job.planned.as_deref().unwrap_or_default().iter().map(|fact| draft(job, fact, &now)).collect();
        let messages: Vec<SessionMessage> = request
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| !message.role.is_instruction())
            .map(|(index, message)| SessionMessage {
                id: job.message_id(index),
                session_scope: request.scope.session_scope(),
                role: Some(message.role.clone()),
                content: Some(message.content.clone()),
                name: message.name.clone(),
                created_at: Some(message.timestamp.or(request.timestamp).map_or_else(|| now.clone(), time_text)),
            })
            .collect();
        let requests = [request];
        let batch = DraftBatch { requests: &requests, drafts: &drafts, messages: &messages, now: &now };
        let stored = batch.store(self.engine, &|| self.jobs.is_pending(job))?;
        Ok(stored.map(|mut stored| stored.pop().unwrap_or_default()))
    }
}

/// The draft of a fact.
fn draft(job: &Job, planned: &PlannedFact, now: &str) -> Draft {
    let (add, fact) = (&job.request.add, &planned.fact);
    let analysis = analyse(&fact.text);
    let source = fact.sources.last().and_then(|source| add.messages.get(*source));
    let time = add.timestamp.or(source.and_then(|message| message.timestamp));
    // The rules keep the speaker's own words; a model's fact names the person that it is about.
    let spoken_by = source.filter(|_| job.extractor == Extractor::Extractive);
    let mut payload = build_payload(add, &fact.text, spoken_by, &analysis.lemmas, now);
    if job.request.procedure {
        payload.set(keys::MEMORY_TYPE, PROCEDURE_TYPE);
    }
    if let Some(role) = &fact.attributed_to {
        payload.set(keys::ATTRIBUTED_TO, role.as_str());
    }
    let sources: Vec<String> = fact.sources.iter().map(|source| job.message_id(*source)).collect();
    payload.set(keys::SOURCE_MESSAGES, sources);
    let related = fact.related.iter().map(|id| (*id, Link::RELATED));
    let superseded = fact.supersedes.iter().map(|id| (*id, Link::SUPERSEDES));
    Draft {
        request: 0,
        id: planned.id,
        role: fact.attributed_to.clone().unwrap_or_default(),
        sources: fact.sources.clone(),
        payload,
        analysis,
        time: in_microseconds(time.unwrap_or(job.received)),
        dated: time.is_some(),
        links: related.chain(superseded).collect(),
    }
}
