//! A transaction that writes memories, and the changes to indexes in memory that follow from it.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::row::payload_text;
use crate::database::sqlite_statements;
use crate::owners::OwnerFields;
use crate::scope_index::{
    Entry, day_number, sparse_from_blob, sparse_to_blob, terms_from_blob, terms_to_blob, vector_to_blob,
};
use crate::shared_tables::{history, links, messages};
use crate::{
    Change, Entity, HistoryEvent, MemoryId, Mention, Payload, Record, Result, Scope, Sparse, StoreError, Terms, keys,
};

/// A change to the indexes in memory, made after the commit.
pub(super) enum IndexChange {
    Insert { entry: Entry, vector: Vec<f32>, bm25: Sparse },
    SetTerms { scopes: [i64; 3], id: MemoryId, old: Terms, new: Terms },
    Remove { scopes: [i64; 3], id: MemoryId, terms: Terms },
}

impl IndexChange {
    pub(super) fn scopes(&self) -> &[i64; 3] {
        match self {
            Self::Insert { entry, .. } => &entry.scopes,
            Self::SetTerms { scopes, .. } | Self::Remove { scopes, .. } => scopes,
        }
    }
}

/// Writes of one transaction.
pub(super) struct WriteTransaction<'tx> {
    tx: &'tx Transaction<'tx>,
    dims: usize,
    scope_ids: HashMap<(usize, String), i64>,
    touched: BTreeSet<i64>,
    /// Whether removals are recorded for the indexes in memory. If not, those indexes must be dropped.
    record_removals: bool,
    index_changes: Vec<IndexChange>,
    bm25_documents: i64,
    bm25_terms: HashMap<u32, i64>,
}

/// The values of a stored memory that a change needs.
struct StoredRow {
    slot: i64,
    scopes: [i64; 3],
    terms: Terms,
    bm25: Sparse,
}

impl<'tx> WriteTransaction<'tx> {
    pub(super) fn new(tx: &'tx Transaction<'tx>, dims: usize) -> Self {
        Self {
            tx,
            dims,
            scope_ids: HashMap::new(),
            touched: BTreeSet::new(),
            record_removals: true,
            index_changes: Vec::new(),
            bm25_documents: 0,
            bm25_terms: HashMap::new(),
        }
    }

    /// A transaction after which the indexes in memory are dropped.
    pub(super) fn without_index_changes(tx: &'tx Transaction<'tx>, dims: usize) -> Self {
        Self { record_removals: false, ..Self::new(tx, dims) }
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Insert(record) => self.insert(record),
            Change::Replace(record) => self.replace(record),
            Change::SetTerms(id, terms) => self.set_terms(*id, terms),
            Change::Remove(id) => self.remove(*id),
            Change::InsertEntity(entity) => self.insert_entity(entity),
            Change::Link(link) => links::insert(&mut sqlite_statements(self.tx), link),
            Change::History(event) => insert_history(self.tx, event),
            Change::Message(message) => messages::insert(&mut sqlite_statements(self.tx), message),
        }
    }

    fn insert(&mut self, record: &Record) -> Result<()> {
        let id = record.memory.id;
        let exists = self.tx.prepare_cached("SELECT 1 FROM memories WHERE id = ?")?.exists([id.to_bytes()])?;
        if exists {
            return Err(StoreError::Exists(id));
        }
        self.write(record, None)
    }

    fn replace(&mut self, record: &Record) -> Result<()> {
        let id = record.memory.id;
        let stored = self.stored_row(id)?;
        let entities = self.unlink_entities(id)?;
        self.subtract(id, &stored);
        self.write(record, Some(stored.slot))?;
        // After the new text is written, so that an entity that it mentions too is kept.
        self.delete_unreferenced(&entities)
    }

    pub(super) fn remove(&mut self, id: MemoryId) -> Result<()> {
        let stored = self.stored_row(id)?;
        let entities = self.unlink_entities(id)?;
        self.delete_unreferenced(&entities)?;
        self.subtract(id, &stored);
        self.tx.prepare_cached("DELETE FROM memories WHERE slot = ?")?.execute([stored.slot])?;
        self.tx.prepare_cached("DELETE FROM signals WHERE slot = ?")?.execute([stored.slot])?;
        links::delete_all_of(&mut sqlite_statements(self.tx), id)
    }

    fn set_terms(&mut self, id: MemoryId, terms: &Terms) -> Result<()> {
        let stored = self.stored_row(id)?;
        self.tx
            .prepare_cached("UPDATE signals SET terms = ? WHERE slot = ?")?
            .execute(params![terms_to_blob(terms), stored.slot])?;
        self.touch(&stored.scopes);
        self.index_changes.push(IndexChange::SetTerms {
            scopes: stored.scopes,
            id,
            old: stored.terms,
            new: terms.clone(),
        });
        Ok(())
    }

    fn stored_row(&self, id: MemoryId) -> Result<StoredRow> {
        let mut statement = self.tx.prepare_cached(
            "SELECT m.slot, m.user_scope, m.agent_scope, m.run_scope, s.terms, s.bm25
             FROM memories m JOIN signals s ON s.slot = m.slot WHERE m.id = ?",
        )?;
        let found = statement
            .query_row([id.to_bytes()], |row| {
                let scopes = [row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((row.get(0)?, scopes, row.get::<_, Vec<u8>>(4)?, row.get::<_, Vec<u8>>(5)?))
            })
            .optional()?;
        let (slot, scopes, terms, bm25) = found.ok_or(StoreError::NotFound(id))?;
        Ok(StoredRow { slot, scopes, terms: terms_from_blob(&terms)?, bm25: sparse_from_blob(&bm25) })
    }

    /// Removes a stored memory from the statistics and from the indexes.
    fn subtract(&mut self, id: MemoryId, stored: &StoredRow) {
        self.count_bm25(&stored.bm25, -1);
        self.touch(&stored.scopes);
        if self.record_removals {
            let (scopes, terms) = (stored.scopes, stored.terms.clone());
            self.index_changes.push(IndexChange::Remove { scopes, id, terms });
        }
    }

    /// Writes a record to a new slot, or over the record in `slot`.
    fn write(&mut self, record: &Record, slot: Option<i64>) -> Result<()> {
        let memory = &record.memory;
        self.check_vector(&record.vector)?;
        let payload = &memory.payload;
        let scopes = self.scope_ids(&payload.scope())?;
        let session = match &memory.provenance.session {
            Some(name) => self.session_id(&scopes, name)?,
            None => 0,
        };
        let day = memory.happened_at().map(|at| day_number(at.to_zoned(jiff::tz::TimeZone::UTC).date()));
        let expires = payload.expiration_date().map(day_number);
        let mut statement = self.tx.prepare_cached(
            "INSERT OR REPLACE INTO memories(slot, id, user_scope, agent_scope, run_scope, session, position, event_time,
             day, expires, holds_time_word, hash, payload, app, created_at, updated_at)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let owner_fields = OwnerFields::of(payload);
        let slot = statement.insert(params![
            slot,
            memory.id.to_bytes(),
            scopes[0],
            scopes[1],
            scopes[2],
            session,
            memory.provenance.position,
            memory.provenance.event_time.map(jiff::Timestamp::as_microsecond),
            day,
            expires,
            record.holds_time_word,
            payload.str(keys::HASH),
            payload_text(payload)?,
            owner_fields.app,
            owner_fields.created_at,
            owner_fields.updated_at,
        ])?;
        self.tx.prepare_cached("INSERT OR REPLACE INTO signals VALUES(?, ?, ?, ?)")?.execute(params![
            slot,
            vector_to_blob(&record.vector),
            sparse_to_blob(&record.bm25),
            terms_to_blob(&record.terms)
        ])?;
        self.count_bm25(&record.bm25, 1);
        for mention in &record.mentions {
            self.link_entity(memory.id, payload, &scopes, mention)?;
        }
        self.touch(&scopes);
        let (actor, by_user) = Entry::speaker(payload);
        let entry = Entry {
            slot,
            rev: 0,
            id: memory.id,
            scopes,
            session,
            position: memory.provenance.position,
            actor,
            by_user,
            day,
            expires,
            holds_time_word: record.holds_time_word,
            terms: record.terms.clone(),
        };
        let (vector, bm25) = (record.vector.clone(), record.bm25.clone());
        self.index_changes.push(IndexChange::Insert { entry, vector, bm25 });
        Ok(())
    }

    fn check_vector(&self, vector: &[f32]) -> Result<()> {
        let finite = vector.iter().filter(|value| value.is_finite()).count();
        if vector.len() != self.dims || finite != self.dims {
            return Err(StoreError::Dims { expected: self.dims, found: finite });
        }
        Ok(())
    }

    fn touch(&mut self, scopes: &[i64; 3]) {
        self.touched.extend(scopes.iter().copied().filter(|&scope| scope != 0));
    }

    fn scope_ids(&mut self, scope: &Scope) -> Result<[i64; 3]> {
        let mut ids = [0; 3];
        for (kind, value) in scope.ids().into_iter().enumerate() {
            let Some(value) = value else { continue };
            let key = (kind, value.to_owned());
            ids[kind] = match self.scope_ids.get(&key) {
                Some(&id) => id,
                None => {
                    self.tx
                        .prepare_cached("INSERT OR IGNORE INTO scopes(kind, value) VALUES(?, ?)")?
                        .execute(params![kind as i64, value])?;
                    let id = self
                        .tx
                        .prepare_cached("SELECT id FROM scopes WHERE kind = ? AND value = ?")?
                        .query_row(params![kind as i64, value], |row| row.get(0))?;
                    self.scope_ids.insert(key, id);
                    id
                }
            };
        }
        Ok(ids)
    }

    fn session_id(&self, scopes: &[i64; 3], name: &str) -> Result<i64> {
        let key = params![scopes[0], scopes[1], scopes[2], name];
        self.tx
            .prepare_cached("INSERT OR IGNORE INTO sessions(of_user, of_agent, of_run, name) VALUES(?, ?, ?, ?)")?
            .execute(key)?;
        let mut statement = self
            .tx
            .prepare_cached("SELECT id FROM sessions WHERE of_user = ? AND of_agent = ? AND of_run = ? AND name = ?")?;
        Ok(statement.query_row(key, |row| row.get(0))?)
    }

    /// Adds a `bm25` vector to the statistics, or subtracts it. A memory with an empty vector counts as a document too, as
    /// in Qdrant.
    fn count_bm25(&mut self, sparse: &Sparse, by: i64) {
        self.bm25_documents += by;
        for (term, _) in sparse {
            *self.bm25_terms.entry(*term).or_default() += by;
        }
    }

    /// Links a memory to the entity of the scope with the name of the mention. Creates the entity if it does not exist.
    fn link_entity(&self, id: MemoryId, payload: &Payload, scopes: &[i64; 3], mention: &Mention) -> Result<()> {
        let name = mention.text.to_lowercase();
        let found: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT slot FROM entities
                 WHERE user_scope = ? AND agent_scope = ? AND run_scope = ? AND name = ? ORDER BY slot LIMIT 1",
            )?
            .query_row(params![scopes[0], scopes[1], scopes[2], name], |row| row.get(0))
            .optional()?;
        let entity = match found {
            Some(slot) => slot,
            None => {
                self.check_vector(&mention.vector)?;
                self.write_entity(&Entity::of_mention(MemoryId::random(), &payload.scope(), mention), scopes)?
            }
        };
        self.tx
            .prepare_cached("INSERT OR IGNORE INTO entity_links VALUES(?, ?)")?
            .execute(params![entity, id.to_bytes()])?;
        Ok(())
    }

    fn insert_entity(&mut self, entity: &Entity) -> Result<()> {
        self.check_vector(&entity.vector)?;
        let found = self
            .tx
            .prepare_cached("SELECT slot FROM entities WHERE id = ?")?
            .query_row([entity.id.to_bytes()], |row| row.get(0))
            .optional()?;
        let slot = match found {
            Some(slot) => slot,
            None => {
                let scopes = self.scope_ids(&entity.payload.scope())?;
                self.write_entity(entity, &scopes)?
            }
        };
        let mut statement = self.tx.prepare_cached("INSERT OR IGNORE INTO entity_links VALUES(?, ?)")?;
        for memory in &entity.memories {
            statement.execute(params![slot, memory.to_bytes()])?;
        }
        Ok(())
    }

    fn write_entity(&self, entity: &Entity, scopes: &[i64; 3]) -> Result<i64> {
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO entities(id, user_scope, agent_scope, run_scope, name, payload, vector)
             VALUES(?, ?, ?, ?, ?, ?, ?)",
        )?;
        Ok(statement.insert(params![
            entity.id.to_bytes(),
            scopes[0],
            scopes[1],
            scopes[2],
            entity.text().to_lowercase(),
            payload_text(&entity.payload)?,
            vector_to_blob(&entity.vector)
        ])?)
    }

    /// Removes a memory from all entities and returns these entities.
    fn unlink_entities(&self, id: MemoryId) -> Result<Vec<i64>> {
        let key = id.to_bytes();
        let entities: Vec<i64> = self
            .tx
            .prepare_cached("SELECT entity FROM entity_links WHERE memory = ?")?
            .query_map([&key], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        self.tx.prepare_cached("DELETE FROM entity_links WHERE memory = ?")?.execute([&key])?;
        Ok(entities)
    }

    /// Deletes those of the entities that no memory mentions.
    fn delete_unreferenced(&self, entities: &[i64]) -> Result<()> {
        let mut statement = self.tx.prepare_cached(
            "DELETE FROM entities WHERE slot = ?1 AND NOT EXISTS(SELECT 1 FROM entity_links WHERE entity = ?1)",
        )?;
        for entity in entities {
            statement.execute([entity])?;
        }
        Ok(())
    }

    /// Writes the statistics. Returns the touched scopes and the changes to indexes in memory.
    pub(super) fn finish(self) -> Result<(BTreeSet<i64>, Vec<IndexChange>)> {
        if self.bm25_documents != 0 {
            self.tx
                .prepare_cached("UPDATE counters SET value = value + ? WHERE name = 'bm25_documents'")?
                .execute([self.bm25_documents])?;
        }
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO bm25_terms VALUES(?, ?) ON CONFLICT(term) DO UPDATE SET documents = documents + excluded.documents",
        )?;
        let mut terms: Vec<_> = self.bm25_terms.iter().filter(|(_, by)| **by != 0).collect();
        terms.sort_unstable();
        for (term, by) in terms {
            statement.execute(params![term, by])?;
        }
        Ok((self.touched, self.index_changes))
    }
}

pub(super) fn insert_history(tx: &Connection, event: &HistoryEvent) -> Result<()> {
    history::insert(&mut sqlite_statements(tx), event)
}
