//! Changes the text, metadata, event time or expiration date of memories.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_store::{
    Change, ChangeSet, HistoryEvent, Memory, MemoryId, Mention, Payload, Record, Scope, StoreError, StoredMemory, keys,
};
use serde_json::{Map, Value};

use crate::add::text_hash;
use crate::analyse::{Analysis, analyse, mentions};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::message::without_bom;
use crate::session::recount;
use crate::time::{in_microseconds, now_text};
use crate::validate::{check_filterable, check_metadata, check_metadata_size, check_text, metadata_bytes};

/// Changes to a memory. `None` leaves a value unchanged.
#[derive(Clone, Debug, Default)]
pub struct UpdateRequest {
    /// The new text.
    pub text: Option<String>,
    /// The caller's own keys.
    pub metadata: Option<Map<String, Value>>,
    /// What happens to stored keys that `metadata` does not have.
    pub metadata_mode: MetadataMode,
    /// When the text was said.
    pub event_time: Option<Timestamp>,
    /// The new last day on which the memory is shown, or `Some(None)` for no expiration.
    pub expiration_date: Option<Option<Date>>,
}

/// How new metadata changes the stored metadata. Both happen under the lock of the owner, so two changes at once lose
/// nothing.
#[derive(Clone, Copy, Debug, Default)]
pub enum MetadataMode {
    /// Stored keys that are not in the new metadata stay.
    #[default]
    Merge,
    /// Stored keys that are not in the new metadata are removed, unless this says that they stay.
    Replace(fn(&Memory, &str, &Value) -> bool),
}

/// A new text, analysed and embedded.
struct NewText {
    text: String,
    analysis: Analysis,
    /// The payload that has the record of how the text was embedded.
    embedded: Payload,
    vector: Vec<f32>,
    mentions: Vec<Mention>,
}

impl Engine {
    /// Updates a memory and returns the new version. Id, owner, role, actor, `created_at`, session and links stay unchanged;
    /// entities are extracted from the new text.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`EngineError::Invalid`] for a request without changes, an empty text, or metadata that is
    /// too large or has a reserved key.
    pub fn update(&self, id: MemoryId, request: &UpdateRequest) -> Result<Memory> {
        let updated = self.update_batch(&[(id, request.clone())])?.pop();
        updated.ok_or_else(|| StoreError::NotFound(id).into())
    }

    /// Updates memories in one commit, all or none, and returns the new versions of the distinct memories in the order of
    /// their first change. Several changes of one memory are applied in their order, as one.
    ///
    /// # Errors
    /// As [`Engine::update`].
    pub fn update_batch(&self, changes: &[(MemoryId, UpdateRequest)]) -> Result<Vec<Memory>> {
        let requests = combine(changes)?;
        let ids: Vec<MemoryId> = requests.iter().map(|(id, _)| *id).collect();
        let found = self.store.get(&ids)?;
        let found = ids.iter().zip(found).map(|(id, memory)| memory.ok_or(StoreError::NotFound(*id)));
        let memories: Vec<Memory> = found.collect::<std::result::Result<_, _>>()?;
        let texts = self.new_texts(&requests, &memories)?;
        let scopes: Vec<Scope> = memories.iter().map(|memory| memory.payload.scope()).collect();
        let mut distinct: Vec<&Scope> = scopes.iter().collect();
        distinct.sort();
        distinct.dedup();
        self.commit(&distinct, || self.changes(&requests, &texts))
    }

    /// The analysed and embedded texts of those requests that change the text. The name of the speaker, which is embedded
    /// with the text, does not change.
    fn new_texts(
        &self,
        requests: &[(MemoryId, UpdateRequest)],
        memories: &[Memory],
    ) -> Result<HashMap<MemoryId, NewText>> {
        let mut analysed = Vec::new();
        for ((id, request), memory) in requests.iter().zip(memories) {
            let Some(text) = &request.text else { continue };
            let text = &*without_bom(text);
            let mut payload = memory.payload.clone();
            payload.set(keys::DATA, text);
            analysed.push((*id, text.to_owned(), analyse(text), payload));
        }
        let vectors = self.embed_payloads(analysed.iter_mut().map(|(_, _, _, payload)| payload))?;
        let mentions = mentions(self, analysed.iter().map(|(_, _, analysis, _)| analysis.entities.as_slice()))?;
        let texts = analysed.into_iter().zip(vectors).zip(mentions);
        let new_text = |(((id, text, analysis, embedded), vector), mentions)| {
            (id, NewText { text, analysis, embedded, vector, mentions })
        };
        Ok(texts.map(new_text).collect())
    }

    /// The change set of the requests, and the new versions of the memories.
    fn changes(
        &self,
        requests: &[(MemoryId, UpdateRequest)],
        texts: &HashMap<MemoryId, NewText>,
    ) -> Result<(ChangeSet, Vec<Memory>)> {
        let ids: Vec<MemoryId> = requests.iter().map(|(id, _)| *id).collect();
        let new_texts: HashMap<MemoryId, &str> = texts.iter().map(|(id, new)| (*id, new.text.as_str())).collect();
        let now = now_text();
        let mut changes = ChangeSet::default();
        let mut updated = Vec::with_capacity(ids.len());
        // Memories whose terms are in the change set.
        let mut counted: HashSet<MemoryId> = ids.iter().copied().collect();
        for ((id, request), stored) in requests.iter().zip(self.store.get_stored(&ids)?) {
            let stored = stored.ok_or(StoreError::NotFound(*id))?;
            let old = stored.memory.clone();
            let mut stored = request.apply_to(stored, &now)?;
            if let Some(new) = texts.get(id) {
                new.apply_to(&mut stored.memory);
            }
            let memory = &stored.memory;
            let (terms, context_changes) = recount(self.store(), memory, Some(memory.payload.text()), &new_texts)?;
            let record = match texts.get(id) {
                Some(new) => Record {
                    vector: new.vector.clone(),
                    bm25: new.analysis.bm25.clone(),
                    terms,
                    holds_time_word: new.analysis.holds_time_word,
                    mentions: new.mentions.clone(),
                    memory: stored.memory,
                },
                None => Record {
                    vector: stored.vector,
                    bm25: stored.bm25,
                    terms,
                    holds_time_word: mnemon_text::dates::holds_time_word(stored.memory.payload.text()),
                    mentions: self.stored_mentions(*id)?,
                    memory: stored.memory,
                },
            };
            if texts.contains_key(id) {
                let is_new = |change: &Change| match change {
                    Change::SetTerms(id, _) => counted.insert(*id),
                    _ => true,
                };
                changes.changes.extend(context_changes.into_iter().filter(is_new).collect::<Vec<_>>());
            }
            updated.push(record.memory.clone());
            changes.changes.push(Change::History(Box::new(HistoryEvent::updated(&old, &record.memory, &now))));
            changes.changes.push(Change::Replace(Box::new(record)));
        }
        Ok((changes, updated))
    }

    /// The mentions of a memory as they are stored.
    fn stored_mentions(&self, id: MemoryId) -> Result<Vec<Mention>> {
        let mention = |entity: mnemon_store::Entity| Mention {
            kind: entity.kind().to_owned(),
            text: entity.text().to_owned(),
            vector: entity.vector,
        };
        Ok(self.store.entities_of(id)?.into_iter().map(mention).collect())
    }
}

impl NewText {
    fn apply_to(&self, memory: &mut Memory) {
        memory.payload.set(keys::DATA, self.text.as_str());
        memory.payload.set(keys::HASH, text_hash(&self.text));
        memory.payload.set(keys::TEXT_LEMMATIZED, self.analysis.lemmas.as_str());
        memory.payload.copy_embedded(&self.embedded);
    }
}

/// The changes of each memory as one, in the order of their first.
fn combine(changes: &[(MemoryId, UpdateRequest)]) -> Result<Vec<(MemoryId, UpdateRequest)>> {
    let mut places: HashMap<MemoryId, usize> = HashMap::new();
    let mut combined: Vec<(MemoryId, UpdateRequest)> = Vec::with_capacity(changes.len());
    for (id, request) in changes {
        request.check()?;
        match places.get(id) {
            Some(place) => combined[*place].1.extend(request),
            None => {
                places.insert(*id, combined.len());
                combined.push((*id, request.clone()));
            }
        }
    }
    Ok(combined)
}

impl UpdateRequest {
    /// Checks the change, as [`Engine::update`] does before it writes.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a request without changes, an empty or too long text, or metadata that is too large or
    /// has a reserved key.
    pub fn check(&self) -> Result<()> {
        let is_unchanged = self.text.is_none() && self.metadata.is_none() && self.event_time.is_none();
        if is_unchanged && self.expiration_date.is_none() {
            return Err(EngineError::invalid("nothing to change: give text, metadata or expiration_date"));
        }
        if let Some(text) = &self.text {
            check_text(text).map_err(|fault| EngineError::invalid(format!("the text {fault}")))?;
        }
        self.metadata.as_ref().map_or(Ok(()), check_metadata)
    }

    /// Adds a later change of the same memory.
    fn extend(&mut self, later: &Self) {
        if let Some(text) = &later.text {
            self.text = Some(text.clone());
        }
        match (&mut self.metadata, &later.metadata, later.metadata_mode) {
            (Some(earlier), Some(metadata), MetadataMode::Merge) => earlier.extend(metadata.clone()),
            (earlier, Some(metadata), mode) => {
                *earlier = Some(metadata.clone());
                self.metadata_mode = mode;
            }
            (_, None, _) => {}
        }
        self.event_time = later.event_time.or(self.event_time);
        self.expiration_date = later.expiration_date.or(self.expiration_date);
    }

    /// The stored memory with the changes to all but its text.
    fn apply_to(&self, mut stored: StoredMemory, now: &str) -> Result<StoredMemory> {
        let memory = &mut stored.memory;
        if let Some(metadata) = &self.metadata {
            check_filterable(metadata, Some(&memory.payload))?;
            let mut all: Map<String, Value> = memory
                .payload
                .metadata()
                .filter(|(key, value)| match self.metadata_mode {
                    MetadataMode::Merge => true,
                    MetadataMode::Replace(stays) => stays(memory, key, value),
                })
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let stored_bytes = metadata_bytes(&all);
            all.extend(metadata.clone());
            check_metadata_size(&all, stored_bytes)?;
            memory.payload.set_metadata(all);
        }
        if let Some(time) = self.event_time {
            memory.provenance.event_time = Some(in_microseconds(time));
        }
        let payload = &mut memory.payload;
        payload.set(keys::UPDATED_AT, now);
        match self.expiration_date {
            Some(Some(date)) => payload.set(keys::EXPIRATION_DATE, date.to_string()),
            Some(None) => payload.remove(keys::EXPIRATION_DATE),
            None => {}
        }
        Ok(stored)
    }
}
