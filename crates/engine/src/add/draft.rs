//! Drafts: memories that are ready to be embedded and stored.

use std::collections::HashSet;

use jiff::Timestamp;
use mnemon_store::{
    Change, ChangeSet, HistoryEvent, Link, Memory, MemoryId, Mention, Payload, Provenance, Record, Role, SCOPE_KEYS,
    Scope, SessionMessage, Store, Terms, keys,
};

use super::request::{AddRequest, AddedMemory};
use crate::analyse::{Analysis, analyse, mentions};
use crate::engine::Engine;
use crate::error::Result;
use crate::fields::PlatformFields;
use crate::message::{Message, without_bom};
use crate::session::Sessions;
use crate::terms::count_terms;
use crate::time::{in_microseconds, today};

/// A memory that is ready to be embedded and stored.
pub(crate) struct Draft {
    /// Index of its request in the batch.
    pub(crate) request: usize,
    /// The id that it will be stored under. An interrupted call may have stored it already.
    pub(crate) id: MemoryId,
    /// The role in the answer.
    pub(crate) role: Role,
    /// Indexes of its source messages in the request.
    pub(crate) sources: Vec<usize>,
    pub(crate) payload: Payload,
    pub(crate) analysis: Analysis,
    pub(crate) time: Timestamp,
    /// Whether the caller gave `time`; otherwise it is the time of storing.
    pub(crate) dated: bool,
    /// Links to memories that may have been deleted in the meantime; links to those are skipped.
    pub(crate) links: Vec<(MemoryId, &'static str)>,
}

impl Draft {
    /// The draft of a message that is stored verbatim.
    pub(crate) fn verbatim(number: usize, index: usize, request: &AddRequest, message: &Message, now: &str) -> Self {
        let text = &*without_bom(&message.content);
        let analysis = analyse(text);
        let time = message.timestamp.or(request.timestamp);
        let payload = build_payload(request, text, Some(message), &analysis.lemmas, now);
        Self {
            request: number,
            id: MemoryId::random(),
            role: message.role.clone(),
            sources: vec![index],
            payload,
            analysis,
            time: in_microseconds(time.unwrap_or_else(Timestamp::now)),
            dated: time.is_some(),
            links: Vec::new(),
        }
    }

    /// Its entry in the answer to the caller.
    fn added(&self) -> AddedMemory {
        AddedMemory {
            id: self.id,
            memory: self.payload.text().to_owned(),
            actor_id: self.payload.actor().map(str::to_owned),
            role: self.role.clone(),
            sources: self.sources.clone(),
        }
    }

    /// The memory with this payload and its session, and its terms in that session.
    fn place(&self, payload: &Payload, sessions: &mut Sessions<'_>, request: &AddRequest) -> Result<(Memory, Terms)> {
        let mut memory = Memory { id: self.id, payload: payload.clone(), provenance: Provenance::default() };
        memory.provenance.event_time = self.dated.then_some(self.time);
        let (own, speaker) = (&self.analysis.terms, self.payload.speaker());
        if request.unordered {
            return Ok((memory, count_terms(own, &[], speaker)));
        }
        let session = match &request.session {
            Some(session) => session.clone(),
            None => sessions.current(&request.scope, self.time)?,
        };
        let (position, terms) = sessions.append(&request.scope, &session, self.time, own, speaker)?;
        memory.provenance.session = Some(session);
        memory.provenance.position = Some(position);
        Ok((memory, terms))
    }

    /// The links that start at it: those of the request, which must all lead to memories of the owner, and its own.
    fn links(&self, store: &dyn Store, request: &AddRequest, now: &str) -> Result<Vec<Change>> {
        let link = |target, kind: &str| {
            Change::Link(Link { source: self.id, target, kind: kind.to_owned(), created_at: now.to_owned() })
        };
        let mut links = Vec::new();
        for (target, kind) in &request.links {
            // Checked again now that the scope is locked: the target may have been deleted since the first check.
            request.check_link(store, *target)?;
            links.push(link(*target, kind));
        }
        for (target, kind) in &self.links {
            if request.check_link(store, *target).is_ok() {
                links.push(link(*target, kind));
            }
        }
        Ok(links)
    }
}

/// Drafts that are stored in one commit, with the messages that belong to them.
pub(crate) struct DraftBatch<'r> {
    pub(crate) requests: &'r [AddRequest],
    pub(crate) drafts: &'r [Draft],
    /// Source messages, stored beside the memories.
    pub(crate) messages: &'r [SessionMessage],
    /// The creation time of the memories.
    pub(crate) now: &'r str,
}

impl DraftBatch<'_> {
    /// Embeds and stores the drafts, and returns the added memories of each request. A draft that is stored already, under
    /// the same id, is part of the answer and is not stored again.
    ///
    /// `still_wanted` is called while the scopes are locked. If it returns false, nothing is stored, and the answer is
    /// `None`.
    pub(crate) fn store(
        &self,
        engine: &Engine,
        still_wanted: &dyn Fn() -> Result<bool>,
    ) -> Result<Option<Vec<Vec<AddedMemory>>>> {
        let mut payloads: Vec<Payload> = self.drafts.iter().map(|draft| draft.payload.clone()).collect();
        let vectors = engine.embed_payloads(payloads.iter_mut())?;
        let embedded: Vec<(Payload, Vec<f32>)> = payloads.into_iter().zip(vectors).collect();
        let mentions = mentions(engine, self.drafts.iter().map(|draft| draft.analysis.entities.as_slice()))?;
        let mut scopes: Vec<&Scope> = self.requests.iter().map(|request| &request.scope).collect();
        scopes.sort();
        scopes.dedup();
        engine.commit(&scopes, || {
            if !still_wanted()? {
                return Ok((ChangeSet::default(), None));
            }
            let (changes, added) = self.changes(engine, &embedded, &mentions)?;
            Ok((ChangeSet { expected: Vec::new(), changes }, Some(added)))
        })
    }

    fn changes(
        &self,
        engine: &Engine,
        embedded: &[(Payload, Vec<f32>)],
        mentions: &[Vec<Mention>],
    ) -> Result<(Vec<Change>, Vec<Vec<AddedMemory>>)> {
        let store = &*engine.store;
        let mut sessions = Sessions::new(store, engine.config.session_gap);
        let mut changes: Vec<Change> =
            self.messages.iter().cloned().map(|message| Change::Message(Box::new(message))).collect();
        let mut added = vec![Vec::new(); self.requests.len()];
        let mut seen = HashSet::new();
        let stored = self.stored(store)?;
        for (((draft, (payload, vector)), mentions), stored) in
            self.drafts.iter().zip(embedded).zip(mentions).zip(stored)
        {
            let request = &self.requests[draft.request];
            let hash = draft.payload.str(keys::HASH).unwrap_or_default();
            let repeated = !seen.insert((&request.scope, hash));
            if stored {
                added[draft.request].push(draft.added());
                continue;
            }
            if request.skip_duplicates
                && (repeated || store.find_by_hash(&request.scope, hash, Some(today()))?.is_some())
            {
                continue;
            }
            let (memory, terms) = draft.place(payload, &mut sessions, request)?;
            changes.push(Change::History(Box::new(HistoryEvent::added(&memory, self.now))));
            changes.extend(draft.links(store, request, self.now)?);
            changes.push(Change::Insert(Box::new(Record {
                memory,
                vector: vector.clone(),
                bm25: draft.analysis.bm25.clone(),
                terms,
                holds_time_word: draft.analysis.holds_time_word,
                mentions: mentions.clone(),
            })));
            added[draft.request].push(draft.added());
        }
        Ok((changes, added))
    }

    /// Whether each draft is stored already. Only drafts with source messages can be: their ids are fixed beforehand.
    fn stored(&self, store: &dyn Store) -> Result<Vec<bool>> {
        if self.messages.is_empty() {
            return Ok(vec![false; self.drafts.len()]);
        }
        let ids: Vec<MemoryId> = self.drafts.iter().map(|draft| draft.id).collect();
        Ok(store.get(&ids)?.iter().map(Option::is_some).collect())
    }
}

/// The payload of a new memory: text, owner, speaker, and the caller's own keys.
pub(crate) fn build_payload(
    request: &AddRequest,
    text: &str,
    spoken_by: Option<&Message>,
    lemmas: &str,
    now: &str,
) -> Payload {
    let mut payload = Payload::default();
    payload.set(keys::DATA, text);
    payload.set(keys::HASH, text_hash(text));
    payload.set(keys::CREATED_AT, now);
    payload.set(keys::UPDATED_AT, now);
    for (key, id) in SCOPE_KEYS.iter().zip(request.scope.ids()) {
        if let Some(id) = id {
            payload.set(key, id);
        }
    }
    if let Some(message) = spoken_by {
        payload.set(keys::ROLE, message.role.as_str());
        if let Some(name) = message.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
            payload.set(keys::ACTOR_ID, name);
        }
    }
    payload.set(keys::TEXT_LEMMATIZED, lemmas);
    if let Some(date) = request.expiration_date {
        payload.set(keys::EXPIRATION_DATE, date.to_string());
    }
    if request.immutable {
        payload.set(keys::IMMUTABLE, true);
    }
    let PlatformFields { app_id, categories, structured_attributes } = &request.fields;
    if let Some(app) = app_id {
        payload.set(keys::APP_ID, app.as_str());
    }
    if !categories.is_empty() {
        payload.set(keys::CATEGORIES, categories.as_slice());
    }
    if let Some(attributes) = structured_attributes {
        payload.set(keys::STRUCTURED_ATTRIBUTES, attributes.clone());
    }
    for (key, value) in &request.metadata {
        payload.set(key, value.clone());
    }
    payload
}

/// mem0's hash of a text, as payloads have it: MD5 in hex. It detects duplicates and has no security purpose.
pub fn text_hash(text: &str) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(text))
}
