//! Changing a memory's text, metadata or expiration.

use jiff::civil::Date;
use mnemon_store::{
    Change, ChangeSet, HistoryEvent, Memory, MemoryId, Mention, RESERVED_KEYS, Record, StoreError, keys,
};
use serde_json::{Map, Value};

use crate::add::{check_metadata, check_text, hash};
use crate::analyse::{analyse, embedding_text};
use crate::engine::now_text;
use crate::{Engine, EngineError, Result};

/// What to change; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateRequest {
    /// The new text.
    pub text: Option<String>,
    /// The caller's keys, in place of all that were there.
    pub metadata: Option<Map<String, Value>>,
    /// A new last day, or `Some(None)` for none.
    pub expiration_date: Option<Option<Date>>,
}

impl Engine {
    /// Changes a memory and returns it as it is now. Id, owner, role, actor, `created_at` and its place in the session
    /// stay; links to other memories stay; entities follow the text.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`EngineError::Invalid`] for nothing to change, an empty text, or reserved metadata.
    pub fn update(&self, id: MemoryId, request: &UpdateRequest) -> Result<Memory> {
        if request.text.is_none() && request.metadata.is_none() && request.expiration_date.is_none() {
            return Err(EngineError::invalid("nothing to change: give text, metadata or expiration_date"));
        }
        if let Some(text) = &request.text {
            check_text(text).map_err(|fault| EngineError::invalid(format!("the text {fault}")))?;
        }
        request.metadata.as_ref().map_or(Ok(()), check_metadata)?;
        let scope = self.owner(id)?;
        self.commit(&[&scope], || {
            let stored = self.store.get_stored(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
            let old = stored.memory;
            let mut memory = old.clone();
            let now = now_text();
            memory.payload.set(keys::UPDATED_AT, now.as_str());
            if let Some(metadata) = &request.metadata {
                let mut map = memory.payload.into_map();
                map.retain(|key, _| RESERVED_KEYS.contains(&key.as_str()));
                map.extend(metadata.clone());
                memory.payload = mnemon_store::Payload::new(map);
            }
            match request.expiration_date {
                Some(Some(date)) => memory.payload.set(keys::EXPIRATION_DATE, date.to_string()),
                Some(None) => memory.payload.remove(keys::EXPIRATION_DATE),
                None => {}
            }
            let mut changes = ChangeSet::default();
            let record = match &request.text {
                Some(text) => {
                    let analysis = analyse(text);
                    memory.payload.set(keys::DATA, text.as_str());
                    memory.payload.set(keys::HASH, hash(text));
                    memory.payload.set(keys::TEXT_LEMMATIZED, analysis.lemmas.as_str());
                    let (terms, later) = self.recount(&memory, Some(text))?;
                    changes.changes.extend(later);
                    Record {
                        vector: self.embed(&[&embedding_text(&memory.payload)])?.pop().unwrap_or_default(),
                        bm25: analysis.bm25,
                        terms,
                        holds_time_word: analysis.holds_time_word,
                        mentions: self.mentions([analysis.entities.as_slice()].into_iter())?.pop().unwrap_or_default(),
                        memory,
                    }
                }
                None => {
                    let mention = |entity: mnemon_store::Entity| Mention {
                        kind: entity.kind().to_owned(),
                        text: entity.text().to_owned(),
                        vector: entity.vector,
                    };
                    let (terms, _) = self.recount(&memory, Some(memory.payload.text()))?;
                    Record {
                        vector: stored.vector,
                        bm25: stored.bm25,
                        terms,
                        holds_time_word: mnemon_text::dates::holds_time_word(memory.payload.text()),
                        mentions: self.store.entities_of(id)?.into_iter().map(mention).collect(),
                        memory,
                    }
                }
            };
            let memory = record.memory.clone();
            changes.changes.push(Change::History(Box::new(HistoryEvent::updated(&old, &memory, &now))));
            changes.changes.push(Change::Replace(Box::new(record)));
            Ok((changes, memory))
        })
    }
}
