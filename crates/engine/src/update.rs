//! Changes a memory's text, metadata or expiration date.

use jiff::civil::Date;
use mnemon_store::{
    Change, ChangeSet, HistoryEvent, Memory, MemoryId, Mention, Record, StoreError, StoredMemory, keys,
};
use serde_json::{Map, Value};

use crate::add::text_hash;
use crate::analyse::{analyse, embedding_text, mentions};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::read::stored_scope;
use crate::session::recount;
use crate::time::now_text;
use crate::validate::{check_metadata, check_text};

/// Changes to a memory. `None` leaves a value unchanged.
#[derive(Clone, Debug, Default)]
pub struct UpdateRequest {
    /// The new text.
    pub text: Option<String>,
    /// The caller's own keys; they replace all that were stored.
    pub metadata: Option<Map<String, Value>>,
    /// The new last day on which the memory is shown, or `Some(None)` for no expiration.
    pub expiration_date: Option<Option<Date>>,
}

impl Engine {
    /// Updates a memory and returns the new version. Id, owner, role, actor, `created_at`, session and links stay unchanged;
    /// entities are extracted from the new text.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`EngineError::Invalid`] for a request without changes, an empty text, or a reserved key
    /// in the metadata.
    pub fn update(&self, id: MemoryId, request: &UpdateRequest) -> Result<Memory> {
        request.check()?;
        let scope = stored_scope(self.store(), id)?;
        self.commit(&[&scope], || {
            let stored = self.store.get_stored(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
            let old = stored.memory.clone();
            let now = now_text();
            let mut changes = ChangeSet::default();
            let record = match &request.text {
                Some(text) => {
                    let (record, context_changes) = self.with_text(request.apply_to(stored, &now).memory, text)?;
                    changes.changes.extend(context_changes);
                    record
                }
                None => self.with_stored_text(request.apply_to(stored, &now))?,
            };
            let memory = record.memory.clone();
            changes.changes.push(Change::History(Box::new(HistoryEvent::updated(&old, &memory, &now))));
            changes.changes.push(Change::Replace(Box::new(record)));
            Ok((changes, memory))
        })
    }

    /// The record of a memory with a new text, and the changes to memories whose context contains it.
    fn with_text(&self, mut memory: Memory, text: &str) -> Result<(Record, Vec<Change>)> {
        let analysis = analyse(text);
        memory.payload.set(keys::DATA, text);
        memory.payload.set(keys::HASH, text_hash(text));
        memory.payload.set(keys::TEXT_LEMMATIZED, analysis.lemmas.as_str());
        let (terms, context_changes) = recount(self.store(), &memory, Some(text))?;
        let record = Record {
            vector: self.embed(&[&embedding_text(&memory.payload)])?.pop().unwrap_or_default(),
            bm25: analysis.bm25,
            terms,
            holds_time_word: analysis.holds_time_word,
            mentions: mentions(self, [analysis.entities.as_slice()].into_iter())?.pop().unwrap_or_default(),
            memory,
        };
        Ok((record, context_changes))
    }

    /// The record of a memory whose text stays unchanged.
    fn with_stored_text(&self, stored: StoredMemory) -> Result<Record> {
        let memory = stored.memory;
        let mention = |entity: mnemon_store::Entity| Mention {
            kind: entity.kind().to_owned(),
            text: entity.text().to_owned(),
            vector: entity.vector,
        };
        let (terms, _) = recount(self.store(), &memory, Some(memory.payload.text()))?;
        Ok(Record {
            vector: stored.vector,
            bm25: stored.bm25,
            terms,
            holds_time_word: mnemon_text::dates::holds_time_word(memory.payload.text()),
            mentions: self.store.entities_of(memory.id)?.into_iter().map(mention).collect(),
            memory,
        })
    }
}

impl UpdateRequest {
    /// Checks the change, as [`Engine::update`] does before it writes.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a request without changes, an empty or too long text, or metadata that is too large or
    /// has a reserved key.
    pub fn check(&self) -> Result<()> {
        if self.text.is_none() && self.metadata.is_none() && self.expiration_date.is_none() {
            return Err(EngineError::invalid("nothing to change: give text, metadata or expiration_date"));
        }
        if let Some(text) = &self.text {
            check_text(text).map_err(|fault| EngineError::invalid(format!("the text {fault}")))?;
        }
        self.metadata.as_ref().map_or(Ok(()), check_metadata)
    }

    /// The stored memory with the changes to its metadata and expiration date.
    fn apply_to(&self, mut stored: StoredMemory, now: &str) -> StoredMemory {
        let payload = &mut stored.memory.payload;
        payload.set(keys::UPDATED_AT, now);
        if let Some(metadata) = &self.metadata {
            payload.set_metadata(metadata.clone());
        }
        match self.expiration_date {
            Some(Some(date)) => payload.set(keys::EXPIRATION_DATE, date.to_string()),
            Some(None) => payload.remove(keys::EXPIRATION_DATE),
            None => {}
        }
        stored
    }
}
