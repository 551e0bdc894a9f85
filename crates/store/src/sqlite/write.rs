//! Change sets in one transaction, and the indexes in memory kept in step with it.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::SqliteStore;
use crate::owners::About;
use crate::scope_index::{
    Entry, IndexWrite, day_number, sparse_from_blob, sparse_to_blob, terms_from_blob, terms_to_blob, vector_to_blob,
};
use crate::{
    Change, ChangeSet, Entity, Filter, HistoryEvent, MemoryId, Mention, Payload, Record, Result, SCOPE_KEYS, Scope,
    SessionMessage, Sparse, StoreError, Terms, keys,
};

/// A change to indexes in memory, made once the commit is through.
enum Delta {
    Insert { entry: Entry, vector: Vec<f32>, bm25: Sparse },
    SetTerms { scopes: [i64; 3], id: MemoryId, old: Terms, new: Terms },
    Remove { scopes: [i64; 3], id: MemoryId, terms: Terms },
}

impl Delta {
    fn scopes(&self) -> &[i64; 3] {
        match self {
            Self::Insert { entry, .. } => &entry.scopes,
            Self::SetTerms { scopes, .. } | Self::Remove { scopes, .. } => scopes,
        }
    }
}

/// What a change set has touched so far.
struct Work<'tx> {
    tx: &'tx Transaction<'tx>,
    dims: usize,
    scope_ids: HashMap<(usize, String), i64>,
    touched: BTreeSet<i64>,
    /// Whether indexes in memory are to follow; else they are dropped, and no deltas kept.
    for_indexes: bool,
    deltas: Vec<Delta>,
    bm25_documents: i64,
    bm25_terms: HashMap<u32, i64>,
}

/// The place of a stored memory.
struct Stored {
    slot: i64,
    scopes: [i64; 3],
    terms: Terms,
    bm25: Sparse,
}

pub(super) fn apply(store: &SqliteStore, connection: &mut Connection, changes: &ChangeSet) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    super::open::check_still(&tx, &store.options)?;
    for (scope, expected) in &changes.expected {
        if super::read::scope_version(&tx, scope)? != *expected {
            return Err(StoreError::Conflict);
        }
    }
    let mut work = Work::new(&tx, store.dims);
    for change in &changes.changes {
        match change {
            Change::Insert(record) => work.insert(record)?,
            Change::Replace(record) => work.replace(record)?,
            Change::SetTerms(id, terms) => work.set_terms(*id, terms)?,
            Change::Remove(id) => work.remove(*id)?,
            Change::InsertEntity(entity) => work.insert_entity(entity)?,
            Change::Link(link) => {
                tx.prepare_cached("INSERT OR IGNORE INTO links VALUES(?, ?, ?, ?)")?.execute(params![
                    link.source.to_bytes(),
                    link.target.to_bytes(),
                    link.kind,
                    link.created_at
                ])?;
            }
            Change::History(event) => insert_history(&tx, event)?,
            Change::Message(message) => insert_message(&tx, message)?,
        }
    }
    let (touched, deltas) = work.finish()?;
    // Each searches the lists of the whole scope while readers wait: beyond these, reading the scope anew is cheaper.
    let removed = deltas.iter().filter(|delta| matches!(delta, Delta::Remove { .. })).count();
    commit(store, tx, &touched, (removed <= MAX_REMOVED_IN_PLACE).then_some(&deltas))
}

/// Memories that one change set takes out of indexes in memory.
const MAX_REMOVED_IN_PLACE: usize = 1000;

/// Removes all memories that match in one commit, and only if none is left.
pub(super) fn remove_matching(
    store: &SqliteStore,
    connection: &mut Connection,
    filter: Option<&Filter>,
    now: &str,
) -> Result<usize> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    super::open::check_still(&tx, &store.options)?;
    let ids = super::read::matching(&tx, filter)?;
    if ids.is_empty() {
        return Ok(0);
    }
    let mut work = Work::new(&tx, store.dims);
    work.for_indexes = false;
    for &id in &ids {
        let memory = super::read::get(&tx, &[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
        work.remove(id)?;
        insert_history(&tx, &HistoryEvent::deleted(&memory, now))?;
    }
    let left = super::read::matching(&tx, filter)?.len();
    if left != 0 {
        return Err(StoreError::Corrupt(format!("{left} of {} memories could not be removed", ids.len())));
    }
    let (touched, _) = work.finish()?;
    commit(store, tx, &touched, None)?;
    Ok(ids.len())
}

/// Commits with the indexes of the touched scopes locked, so that readers see a scope before or after, never between.
/// Without deltas the indexes are dropped, to be read anew.
fn commit(store: &SqliteStore, tx: Transaction<'_>, touched: &BTreeSet<i64>, deltas: Option<&[Delta]>) -> Result<()> {
    let mut versions = HashMap::new();
    for &scope in touched {
        let version: i64 = tx
            .prepare_cached("UPDATE scopes SET version = version + 1 WHERE id = ? RETURNING version")?
            .query_row([scope], |row| row.get(0))?;
        versions.insert(scope, version);
    }
    let mut indexes = store.cache.write_present(touched.iter().copied());
    tx.commit()?;
    for (scope, guard) in &mut indexes {
        let version = versions.get(scope).copied().unwrap_or_default();
        let current = guard.as_mut().filter(|index| index.version + 1 == version && !index.worn());
        let (Some(index), Some(deltas)) = (current, deltas) else {
            drop_index(store, *scope, guard);
            continue;
        };
        let mut in_order = true;
        for delta in deltas.iter().filter(|delta| delta.scopes().contains(scope)) {
            match delta {
                Delta::Insert { entry, vector, bm25 } => in_order &= index.insert(entry.clone(), vector, bm25),
                Delta::SetTerms { id, old, new, .. } => index.set_terms(*id, old, new),
                Delta::Remove { id, terms, .. } => index.remove(*id, terms),
            }
        }
        if !in_order {
            drop_index(store, *scope, guard);
            continue;
        }
        index.version = version;
        store.cache.settle(*scope, index.bytes());
    }
    Ok(())
}

/// Commits a change to all that indexes are made of: every scope is read anew, by other processes too.
pub(super) fn commit_to_all_scopes(store: &SqliteStore, tx: Transaction<'_>) -> Result<()> {
    let all: BTreeSet<i64> =
        tx.prepare("SELECT id FROM scopes")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    commit(store, tx, &all, None)
}

/// Frees an index, and the room it took.
fn drop_index(store: &SqliteStore, scope: i64, guard: &mut IndexWrite) {
    **guard = None;
    store.cache.settle(scope, 0);
}

impl<'tx> Work<'tx> {
    fn new(tx: &'tx Transaction<'tx>, dims: usize) -> Self {
        Self {
            tx,
            dims,
            scope_ids: HashMap::new(),
            touched: BTreeSet::new(),
            for_indexes: true,
            deltas: Vec::new(),
            bm25_documents: 0,
            bm25_terms: HashMap::new(),
        }
    }

    fn insert(&mut self, record: &Record) -> Result<()> {
        let id = record.memory.id;
        let taken = self.tx.prepare_cached("SELECT 1 FROM memories WHERE id = ?")?.exists([id.to_bytes()])?;
        if taken {
            return Err(StoreError::Exists(id));
        }
        self.write(record, None)
    }

    fn replace(&mut self, record: &Record) -> Result<()> {
        let id = record.memory.id;
        let stored = self.stored(id)?;
        let entities = self.unlink_entities(id)?;
        self.forget(id, &stored);
        self.write(record, Some(stored.slot))?;
        // Only now: an entity that the new text names as well stays the same entity.
        self.drop_unnamed(&entities)
    }

    fn remove(&mut self, id: MemoryId) -> Result<()> {
        let stored = self.stored(id)?;
        let entities = self.unlink_entities(id)?;
        self.drop_unnamed(&entities)?;
        self.forget(id, &stored);
        let key = id.to_bytes();
        self.tx.prepare_cached("DELETE FROM memories WHERE slot = ?")?.execute([stored.slot])?;
        self.tx.prepare_cached("DELETE FROM signals WHERE slot = ?")?.execute([stored.slot])?;
        self.tx.prepare_cached("DELETE FROM links WHERE source = ?1 OR target = ?1")?.execute([key])?;
        Ok(())
    }

    fn set_terms(&mut self, id: MemoryId, terms: &Terms) -> Result<()> {
        let stored = self.stored(id)?;
        self.tx
            .prepare_cached("UPDATE signals SET terms = ? WHERE slot = ?")?
            .execute(params![terms_to_blob(terms), stored.slot])?;
        self.touch(&stored.scopes);
        self.deltas.push(Delta::SetTerms { scopes: stored.scopes, id, old: stored.terms, new: terms.clone() });
        Ok(())
    }

    fn stored(&self, id: MemoryId) -> Result<Stored> {
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
        Ok(Stored { slot, scopes, terms: terms_from_blob(&terms)?, bm25: sparse_from_blob(&bm25) })
    }

    /// Takes back what a stored memory adds to statistics and indexes.
    fn forget(&mut self, id: MemoryId, stored: &Stored) {
        self.count_bm25(&stored.bm25, -1);
        self.touch(&stored.scopes);
        if self.for_indexes {
            self.deltas.push(Delta::Remove { scopes: stored.scopes, id, terms: stored.terms.clone() });
        }
    }

    /// Writes a record to a new slot or over an old one.
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
        let about = About::of(payload);
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
            super::read::payload_text(payload)?,
            about.app,
            about.created_at,
            about.updated_at,
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
        let (actor, role) = Entry::speaker(payload);
        let entry = Entry {
            slot,
            rev: 0,
            id: memory.id,
            scopes,
            session,
            position: memory.provenance.position,
            actor,
            role,
            day,
            expires,
            holds_time_word: record.holds_time_word,
            terms: record.terms.clone(),
        };
        self.deltas.push(Delta::Insert { entry, vector: record.vector.clone(), bm25: record.bm25.clone() });
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

    /// Every memory holds the slot; one whose vector is empty is a document too, as in Qdrant.
    fn count_bm25(&mut self, sparse: &Sparse, by: i64) {
        self.bm25_documents += by;
        for (term, _) in sparse {
            *self.bm25_terms.entry(*term).or_default() += by;
        }
    }

    /// Joins a mention to the scope's entity of that name, or makes the entity.
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
                let mut own = Payload::default();
                own.set(keys::DATA, mention.text.as_str());
                own.set("entity_type", mention.kind.as_str());
                for (key, value) in SCOPE_KEYS.iter().zip(payload.scope().ids()) {
                    if let Some(value) = value {
                        own.set(key, value);
                    }
                }
                self.write_entity(MemoryId::random(), &own, scopes, &mention.vector)?
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
                self.write_entity(entity.id, &entity.payload, &scopes, &entity.vector)?
            }
        };
        let mut statement = self.tx.prepare_cached("INSERT OR IGNORE INTO entity_links VALUES(?, ?)")?;
        for memory in &entity.memories {
            statement.execute(params![slot, memory.to_bytes()])?;
        }
        Ok(())
    }

    fn write_entity(&self, id: MemoryId, payload: &Payload, scopes: &[i64; 3], vector: &[f32]) -> Result<i64> {
        let mut statement = self.tx.prepare_cached(
            "INSERT INTO entities(id, user_scope, agent_scope, run_scope, name, payload, vector)
             VALUES(?, ?, ?, ?, ?, ?, ?)",
        )?;
        Ok(statement.insert(params![
            id.to_bytes(),
            scopes[0],
            scopes[1],
            scopes[2],
            payload.text().to_lowercase(),
            super::read::payload_text(payload)?,
            vector_to_blob(vector)
        ])?)
    }

    /// Strips a memory from all entities and returns them.
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

    /// Deletes those of the entities that no memory names any more.
    fn drop_unnamed(&self, entities: &[i64]) -> Result<()> {
        let mut statement = self.tx.prepare_cached(
            "DELETE FROM entities WHERE slot = ?1 AND NOT EXISTS(SELECT 1 FROM entity_links WHERE entity = ?1)",
        )?;
        for entity in entities {
            statement.execute([entity])?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(BTreeSet<i64>, Vec<Delta>)> {
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
        Ok((self.touched, self.deltas))
    }
}

fn insert_history(tx: &Connection, event: &HistoryEvent) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO history(id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, actor_id,
         role, user_id, agent_id, run_id) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING",
    )?
    .execute(params![
        event.id,
        event.memory_id,
        event.old_memory,
        event.new_memory,
        event.event,
        event.created_at,
        event.updated_at,
        event.is_deleted,
        event.actor_id,
        event.role,
        event.scope.user_id,
        event.scope.agent_id,
        event.scope.run_id
    ])?;
    Ok(())
}

fn insert_message(tx: &Connection, message: &SessionMessage) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO messages(id, session_scope, role, content, name, created_at) VALUES(?, ?, ?, ?, ?, ?)
         ON CONFLICT(id) DO NOTHING",
    )?
    .execute(params![
        message.id,
        message.session_scope,
        message.role,
        message.content,
        message.name,
        message.created_at
    ])?;
    Ok(())
}
