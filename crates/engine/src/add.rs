//! Adding: one memory a message, verbatim, with everything needed to find it, in one commit.

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_store::{
    Change, ChangeSet, HistoryEvent, Link, Memory, MemoryId, Payload, Provenance, RESERVED_KEYS, Record, SCOPE_KEYS,
    Scope, SessionMessage, keys,
};
use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::analyse::{Analysis, analyse, embedding_text};
use crate::engine::{MAX_TEXT_BYTES, now_text, today};
use crate::session::{Sessions, speaker};
use crate::{Engine, EngineError, Message, Result};

/// What to remember, and whose it is.
#[derive(Clone, Debug, Default)]
pub struct AddRequest {
    /// The owner.
    pub scope: Scope,
    /// What was said, in order.
    pub messages: Vec<Message>,
    /// The caller's own keys, stored with each memory. Keys that the product writes itself are refused.
    pub metadata: Map<String, Value>,
    /// When it was said; now if absent.
    pub timestamp: Option<Timestamp>,
    /// The conversation it belongs to. If absent: the one the scope had last, unless that is long past
    /// ([`crate::EngineConfig::session_gap`]).
    pub session: Option<String>,
    /// Facts without order: no session, no context.
    pub unordered: bool,
    /// The last day the memories are shown.
    pub expiration_date: Option<Date>,
    /// Leaves out a message whose text this very scope already remembers.
    pub skip_duplicates: bool,
    /// Links from each new memory to existing ones: (target, kind).
    pub links: Vec<(MemoryId, String)>,
}

/// A memory that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedMemory {
    /// Its id.
    pub id: MemoryId,
    /// Its text.
    pub memory: String,
    /// The speaker's name.
    pub actor_id: Option<String>,
    /// The message's role, or whose statement an extracted fact is.
    pub role: String,
    /// Places of the messages it was made of in the request, rising.
    pub sources: Vec<usize>,
}

/// A memory on its way to a record.
pub(crate) struct Draft<'r> {
    /// Which of the requests it belongs to.
    pub(crate) request: usize,
    /// What it gets, or has already, if it was stored by a call that ended before it could say so.
    pub(crate) id: MemoryId,
    /// What the answer says of who spoke.
    pub(crate) role: &'r str,
    /// Places of the messages it is made of.
    pub(crate) sources: Vec<usize>,
    pub(crate) payload: Payload,
    pub(crate) analysis: Analysis,
    pub(crate) time: Timestamp,
    /// Whether `time` was told, or is only when it was stored.
    pub(crate) dated: bool,
    /// Links to memories that may have gone meanwhile.
    pub(crate) links: Vec<(MemoryId, &'static str)>,
}

impl<'r> Draft<'r> {
    fn new(number: usize, place: usize, request: &AddRequest, message: &'r Message, now: &str) -> Self {
        let analysis = analyse(&message.content);
        let told = message.timestamp.or(request.timestamp);
        let payload = payload(request, &message.content, Some(message), &analysis.lemmas, now);
        Self {
            request: number,
            id: MemoryId::random(),
            role: &message.role,
            sources: vec![place],
            payload,
            analysis,
            time: in_microseconds(told.unwrap_or_else(Timestamp::now)),
            dated: told.is_some(),
            links: Vec::new(),
        }
    }
}

/// As precise as the store keeps it.
pub(crate) fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// Messages that one thread works out.
const FEW: usize = 16;

impl Engine {
    /// Remembers messages. All of them are stored, durably, when this returns; none if it fails.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for no messages, an empty or too long one, metadata under a reserved key, or a link to
    /// nothing.
    pub fn add(&self, request: AddRequest) -> Result<Vec<AddedMemory>> {
        Ok(self.add_batch(std::slice::from_ref(&request))?.pop().unwrap_or_default())
    }

    /// Remembers several requests in one commit: all or none. The answers are in the order of the requests.
    ///
    /// # Errors
    /// As [`Engine::add`].
    pub fn add_batch(&self, requests: &[AddRequest]) -> Result<Vec<Vec<AddedMemory>>> {
        let now = now_text();
        requests.iter().try_for_each(|request| self.check_request(request))?;
        let messages: Vec<(usize, usize, &Message)> = requests
            .iter()
            .enumerate()
            .flat_map(|(number, request)| {
                request.messages.iter().enumerate().map(move |(place, message)| (number, place, message))
            })
            .filter(|(_, _, message)| message.role != "system")
            .collect();
        let draft = |(number, place, message)| Draft::new(number, place, &requests[number], message, &now);
        // A few are done before another thread has woken.
        let drafts: Vec<Draft<'_>> = match messages.len() {
            ..FEW => messages.into_iter().map(draft).collect(),
            FEW.. => messages.into_par_iter().with_min_len(FEW).map(draft).collect(),
        };
        let stored = self.store_drafts(requests, &drafts, &[], &now, &|| Ok(true))?;
        Ok(stored.unwrap_or_default())
    }

    /// Embeds drafts and stores them, with messages that were said beside them, in one commit. What was stored before
    /// under a draft's id is answered again. `wanted` is asked while nobody else writes to the scopes; if it says no, `None`
    /// comes back and nothing is stored.
    pub(crate) fn store_drafts(
        &self,
        requests: &[AddRequest],
        drafts: &[Draft<'_>],
        said: &[SessionMessage],
        now: &str,
        wanted: &dyn Fn() -> Result<bool>,
    ) -> Result<Option<Vec<Vec<AddedMemory>>>> {
        let texts: Vec<String> = drafts.iter().map(|draft| embedding_text(&draft.payload)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = self.embed(&texts)?;
        let mentions = self.mentions(drafts.iter().map(|draft| draft.analysis.entities.as_slice()))?;

        let scopes: Vec<&Scope> = {
            let mut scopes: Vec<&Scope> = requests.iter().map(|request| &request.scope).collect();
            scopes.sort();
            scopes.dedup();
            scopes
        };
        let ids: Vec<MemoryId> = drafts.iter().map(|draft| draft.id).collect();
        self.commit(&scopes, || {
            if !wanted()? {
                return Ok((ChangeSet::default(), None));
            }
            let mut sessions = Sessions::new(self);
            let mut changes = ChangeSet::default();
            changes.changes.extend(said.iter().cloned().map(|message| Change::Message(Box::new(message))));
            let mut answers = vec![Vec::new(); requests.len()];
            let mut fresh = std::collections::HashSet::new();
            // Only what was asked for with ids of its own can be there already.
            let there = if said.is_empty() { vec![None; ids.len()] } else { self.store.get(&ids)? };
            for (((draft, vector), mentions), there) in drafts.iter().zip(&vectors).zip(&mentions).zip(there) {
                let request = &requests[draft.request];
                let hash = draft.payload.str(keys::HASH).unwrap_or_default();
                let repeated = !fresh.insert((&request.scope, hash));
                let added = AddedMemory {
                    id: draft.id,
                    memory: draft.payload.text().to_owned(),
                    actor_id: draft.payload.actor().map(str::to_owned),
                    role: draft.role.to_owned(),
                    sources: draft.sources.clone(),
                };
                if there.is_some() {
                    answers[draft.request].push(added);
                    continue;
                }
                if request.skip_duplicates
                    && (repeated || self.store.find_by_hash(&request.scope, hash, Some(today()))?.is_some())
                {
                    continue;
                }
                let mut memory =
                    Memory { id: draft.id, payload: draft.payload.clone(), provenance: Provenance::default() };
                memory.provenance.event_time = draft.dated.then_some(draft.time);
                let own = &draft.analysis.terms;
                let terms = if request.unordered {
                    crate::analyse::count_terms(own, &[], speaker(&memory))
                } else {
                    let session = match &request.session {
                        Some(session) => session.clone(),
                        None => sessions.current(&request.scope, draft.time)?,
                    };
                    let (position, terms) =
                        sessions.append(&request.scope, &session, draft.time, own, speaker(&memory))?;
                    memory.provenance.session = Some(session);
                    memory.provenance.position = Some(position);
                    terms
                };
                changes.changes.push(Change::History(Box::new(HistoryEvent::added(&memory, now))));
                let link = |target, kind: &str| {
                    Change::Link(Link { source: draft.id, target, kind: kind.to_owned(), created_at: now.to_owned() })
                };
                for (target, kind) in &request.links {
                    // Again, now that the scope's version is known: it may have been deleted since.
                    self.must_own(*target, &request.scope)?;
                    changes.changes.push(link(*target, kind));
                }
                for (target, kind) in &draft.links {
                    if self.must_own(*target, &request.scope).is_ok() {
                        changes.changes.push(link(*target, kind));
                    }
                }
                answers[draft.request].push(added);
                changes.changes.push(Change::Insert(Box::new(Record {
                    memory,
                    vector: vector.clone(),
                    bm25: draft.analysis.bm25.clone(),
                    terms,
                    holds_time_word: draft.analysis.holds_time_word,
                    mentions: mentions.clone(),
                })));
            }
            Ok((changes, Some(answers)))
        })
    }

    /// Whether a request can be served as it is.
    pub(crate) fn check_request(&self, request: &AddRequest) -> Result<()> {
        if request.scope.is_empty() {
            return Err(EngineError::invalid("at least one of user_id, agent_id, run_id is required"));
        }
        if request.messages.is_empty() {
            return Err(EngineError::invalid("there are no messages to remember"));
        }
        if request.session.as_deref().is_some_and(|session| session.trim().is_empty()) {
            return Err(EngineError::invalid("the session's name is empty; leave it out or give one"));
        }
        check_metadata(&request.metadata)?;
        for (target, _) in &request.links {
            self.must_own(*target, &request.scope)?;
        }
        for (index, message) in request.messages.iter().enumerate() {
            let at = index + 1;
            check_text(&message.content).map_err(|fault| EngineError::invalid(format!("message {at} {fault}")))?;
            if message.role.trim().is_empty() {
                return Err(EngineError::invalid(format!("message {at} has no role; give `user` or `assistant`")));
            }
        }
        Ok(())
    }

    /// A link must lead to a memory of the same owner.
    fn must_own(&self, target: MemoryId, scope: &Scope) -> Result<()> {
        let found = self.store.get(&[target])?.pop().flatten();
        let owned = found.is_some_and(|memory| {
            let own = memory.payload.scope();
            own.ids().iter().zip(scope.ids()).all(|(own, asked)| asked.is_none() || *own == asked)
        });
        if owned { Ok(()) } else { Err(mnemon_store::StoreError::NotFound(target).into()) }
    }
}

pub(crate) fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty; there is nothing to remember".into());
    }
    check_length(text)
}

pub(crate) fn check_length(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("has {} bytes; split it into parts of at most {MAX_TEXT_BYTES}", text.len()));
    }
    Ok(())
}

/// Levels that lists and objects of a payload may nest. JSON parsers, ours among them, stop at 128, and a payload must be
/// readable inside a request or an export too.
const MAX_DEPTH: usize = 100;

pub(crate) fn check_depth(map: &Map<String, Value>) -> Result<(), String> {
    let mut level: Vec<&Value> = map.values().collect();
    for _ in 0..MAX_DEPTH {
        level = level
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect::<Vec<_>>(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            })
            .collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(format!("nests lists and objects more than {MAX_DEPTH} levels deep; flatten it"))
}

/// The most bytes of metadata, as JSON: each message of a request gets a copy, and each page of a list repeats it.
const MAX_METADATA_BYTES: usize = 64 << 10;

/// Identity, times and text belong to the server: metadata can't set or move them.
pub(crate) fn check_metadata(metadata: &Map<String, Value>) -> Result<()> {
    check_depth(metadata).map_err(|fault| EngineError::invalid(format!("metadata {fault}")))?;
    let bytes = serde_json::to_string(metadata).map_or(0, |text| text.len());
    if bytes > MAX_METADATA_BYTES {
        let message =
            format!("metadata has {bytes} bytes; keep it to {MAX_METADATA_BYTES}, and put text into messages");
        return Err(EngineError::invalid(message));
    }
    match metadata.keys().find(|key| *key == "id" || RESERVED_KEYS.contains(&key.as_str())) {
        Some(key) => Err(EngineError::invalid(format!("metadata may not hold `{key}`: the store writes it itself"))),
        None => Ok(()),
    }
}

/// What is kept of a text beside its vectors: the text, whose it is, who said it, and the caller's own keys.
pub(crate) fn payload(request: &AddRequest, text: &str, said_by: Option<&Message>, lemmas: &str, now: &str) -> Payload {
    let mut payload = Payload::default();
    payload.set(keys::DATA, text);
    payload.set(keys::HASH, hash(text));
    payload.set(keys::CREATED_AT, now);
    payload.set(keys::UPDATED_AT, now);
    for (key, id) in SCOPE_KEYS.iter().zip(request.scope.ids()) {
        if let Some(id) = id {
            payload.set(key, id);
        }
    }
    if let Some(message) = said_by {
        payload.set(keys::ROLE, message.role.as_str());
        if let Some(name) = message.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
            payload.set(keys::ACTOR_ID, name);
        }
    }
    payload.set(keys::TEXT_LEMMATIZED, lemmas);
    if let Some(date) = request.expiration_date {
        payload.set(keys::EXPIRATION_DATE, date.to_string());
    }
    for (key, value) in &request.metadata {
        payload.set(key, value.clone());
    }
    payload
}

/// mem0's hash of a text: MD5 in hex. It recognises, it does not protect.
pub(crate) fn hash(text: &str) -> String {
    use md5::Digest;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
