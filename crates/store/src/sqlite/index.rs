//! One scope in memory: vectors in one matrix, inverted lists of terms, and what ranking asks of each memory.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::encode::{sparse_from_blob, terms_from_blob, vector_from_blob};
use super::read::SCOPE_IS;
use crate::{MemoryId, Payload, Result, Role, Sparse, StoreError, Terms, keys};

/// All memories that carry one scope id, at one version of that scope.
pub(super) struct ScopeIndex {
    pub(super) version: i64,
    pub(super) dims: usize,
    pub(super) rows: Vec<Row>,
    /// Number of terms of each row's text, and of its text with context.
    pub(super) lengths: Vec<[u32; 2]>,
    /// Row-major, rows.len() × dims.
    pub(super) vectors: Vec<f32>,
    /// 1 / norm of each vector; 0 for a zero vector.
    pub(super) inverse_norms: Vec<f32>,
    pub(super) postings: FxHashMap<u32, Vec<Posting>>,
    /// The stored `bm25` slots, inverted; filled when mem0's ranking is first asked for.
    pub(super) bm25: Option<FxHashMap<u32, Vec<(u32, f32)>>>,
    pub(super) actors: Vec<String>,
    /// Terms of each actor's name; they count for the document frequency of a name.
    actor_numbers: HashMap<String, u32>,
    /// Rows of each session, by position.
    pub(super) sessions: FxHashMap<u32, Vec<u32>>,
    dead: usize,
    /// Entries in all lists.
    posted: usize,
    /// The first day on which a row may have expired.
    first_expiry: i32,
}

/// What ranking and filters ask of a memory.
pub(super) struct Row {
    pub(super) slot: i64,
    pub(super) id: MemoryId,
    pub(super) scopes: [u32; 3],
    pub(super) session: u32,
    /// Place in the session; those without one come last.
    pub(super) position: u32,
    pub(super) actor: Option<u32>,
    pub(super) role: Role,
    pub(super) day: Option<i32>,
    /// Last day it is shown; `i32::MAX` for ever.
    pub(super) expires: i32,
    pub(super) holds_time_word: bool,
    pub(super) alive: bool,
}

/// A memory in a term's list; lists are sorted by row.
#[derive(Clone, Copy)]
pub(super) struct Posting {
    pub(super) row: u32,
    pub(super) in_text: u16,
    pub(super) in_context: u16,
}

/// A memory on its way into an index, from disk or from a write.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) slot: i64,
    pub(super) id: MemoryId,
    pub(super) scopes: [i64; 3],
    pub(super) session: i64,
    pub(super) position: Option<u32>,
    pub(super) actor: Option<String>,
    pub(super) role: Role,
    pub(super) day: Option<i32>,
    pub(super) expires: Option<i32>,
    pub(super) holds_time_word: bool,
    pub(super) terms: Terms,
}

impl Entry {
    pub(super) fn speaker(payload: &Payload) -> (Option<String>, Role) {
        let role = match payload.role() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            _ => Role::Other,
        };
        (payload.actor().map(str::to_owned), role)
    }
}

impl ScopeIndex {
    pub(super) fn empty(dims: usize, version: i64) -> Self {
        Self {
            version,
            dims,
            rows: Vec::new(),
            lengths: Vec::new(),
            vectors: Vec::new(),
            inverse_norms: Vec::new(),
            postings: FxHashMap::default(),
            bm25: None,
            actors: Vec::new(),
            actor_numbers: HashMap::new(),
            sessions: FxHashMap::default(),
            dead: 0,
            posted: 0,
            first_expiry: i32::MAX,
        }
    }

    /// Reads a scope from disk, as of the connection's snapshot.
    pub(super) fn load(connection: &Connection, dims: usize, kind: usize, scope: i64, version: i64) -> Result<Self> {
        let mut index = Self::empty(dims, version);
        let condition = SCOPE_IS[kind];
        let count: i64 = connection
            .prepare_cached(&format!("SELECT count(*) FROM memories WHERE {condition}"))?
            .query_row([scope], |row| row.get(0))?;
        let count = usize::try_from(count).unwrap_or(0);
        index.rows.reserve_exact(count);
        index.lengths.reserve_exact(count);
        index.vectors.reserve_exact(count * dims);
        index.inverse_norms.reserve_exact(count);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT m.slot, m.id, m.user_scope, m.agent_scope, m.run_scope, m.session, m.day, m.expires,
                    m.holds_time_word, s.vector, s.terms, 
                    CASE json_type(m.payload, '$.actor_id') WHEN 'text' THEN m.payload ->> '$.actor_id' END,
                    CASE json_type(m.payload, '$.role') WHEN 'text' THEN m.payload ->> '$.role' END,
                    m.position
             FROM memories m JOIN signals s ON s.slot = m.slot WHERE {condition} ORDER BY m.slot"
        ))?;
        let mut rows = statement.query([scope])?;
        while let Some(row) = rows.next()? {
            let id = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let id = MemoryId::from_bytes(id).ok_or_else(|| StoreError::Corrupt("a memory's id".into()))?;
            let mut speaker = Payload::default();
            for (column, key) in [(11, keys::ACTOR_ID), (12, keys::ROLE)] {
                if let Some(name) = row.get::<_, Option<String>>(column)? {
                    speaker.set(key, name);
                }
            }
            let (actor, role) = Entry::speaker(&speaker);
            let entry = Entry {
                slot: row.get(0)?,
                id,
                scopes: [row.get(2)?, row.get(3)?, row.get(4)?],
                session: row.get(5)?,
                position: row.get(13)?,
                day: row.get(6)?,
                expires: row.get(7)?,
                holds_time_word: row.get(8)?,
                actor,
                role,
                terms: terms_from_blob(row.get_ref(10)?.as_blob().map_err(rusqlite::Error::from)?)?,
            };
            let before = index.vectors.len();
            vector_from_blob(row.get_ref(9)?.as_blob().map_err(rusqlite::Error::from)?, &mut index.vectors);
            if index.vectors.len() - before != dims {
                return Err(StoreError::Corrupt(format!("the vector of memory {id}")));
            }
            index.append(entry);
        }
        Ok(index)
    }

    /// Adds what was written; `vector` has the index's dims. Rows stay in the order of their slots, so that an index
    /// kept current answers as one freshly read: a memory that was replaced gets its old row back. `false` if the order
    /// can't be kept, and the index must be read anew.
    #[must_use]
    pub(super) fn insert(&mut self, entry: Entry, vector: &[f32], bm25: &Sparse) -> bool {
        let at = match self.rows.binary_search_by_key(&entry.slot, |row| row.slot) {
            Ok(at) => {
                let start = at * self.dims;
                self.vectors[start..start + self.dims].copy_from_slice(vector);
                self.inverse_norms[at] = inverse_norm(vector);
                self.dead -= 1;
                self.rows[at] = self.index_row(at, entry);
                at
            }
            Err(end) if end == self.rows.len() => {
                self.vectors.extend_from_slice(vector);
                self.append(entry);
                end
            }
            Err(_) => return false,
        };
        if let Some(lists) = &mut self.bm25 {
            self.posted += bm25.len();
            for &(term, value) in bm25 {
                let list = lists.entry(term).or_default();
                let place = list.partition_point(|posting| posting.0 < at as u32);
                list.insert(place, (at as u32, value));
            }
        }
        true
    }

    fn append(&mut self, entry: Entry) {
        let at = self.rows.len();
        let start = at * self.dims;
        self.inverse_norms.push(inverse_norm(&self.vectors[start..start + self.dims]));
        self.lengths.push([0; 2]);
        let row = self.index_row(at, entry);
        self.rows.push(row);
    }

    /// Enters a memory in the inverted lists and makes its row.
    fn index_row(&mut self, at: usize, entry: Entry) -> Row {
        let row = at as u32;
        for count in &entry.terms.counts {
            let posting = Posting { row, in_text: count.in_text, in_context: count.in_context };
            let list = self.postings.entry(count.term).or_default();
            match list.last() {
                Some(last) if last.row >= row => {
                    list.insert(list.partition_point(|posting| posting.row < row), posting);
                }
                _ => list.push(posting),
            }
        }
        self.posted += entry.terms.counts.len();
        self.lengths[at] = [entry.terms.text_len, entry.terms.context_len];
        let expires = entry.expires.unwrap_or(i32::MAX);
        self.first_expiry = self.first_expiry.min(expires);
        let position = entry.position.unwrap_or(u32::MAX);
        if entry.session != 0 {
            let rows = &self.rows;
            let members = self.sessions.entry(entry.session as u32).or_default();
            let before = |&member: &u32| (rows[member as usize].position, member) < (position, row);
            // Mostly the last: look there before searching.
            let place = match members.last() {
                Some(last) if !before(last) => members.partition_point(before),
                _ => members.len(),
            };
            members.insert(place, row);
        }
        let actor = entry.actor.map(|name| self.actor_number(name));
        Row {
            slot: entry.slot,
            id: entry.id,
            scopes: entry.scopes.map(|scope| scope as u32),
            session: entry.session as u32,
            position,
            actor,
            role: entry.role,
            day: entry.day,
            expires,
            holds_time_word: entry.holds_time_word,
            alive: true,
        }
    }

    fn actor_number(&mut self, name: String) -> u32 {
        let next = self.actors.len() as u32;
        *self.actor_numbers.entry(name).or_insert_with_key(|name| {
            self.actors.push(name.clone());
            next
        })
    }

    /// Takes a memory out. Its row stays behind, dead, until the index is next read from disk.
    pub(super) fn remove(&mut self, id: MemoryId, terms: &Terms) {
        let Some(at) = self.find(id) else { return };
        let row = at as u32;
        self.drop_postings(row, terms);
        if let Some(lists) = &mut self.bm25 {
            for list in lists.values_mut() {
                if let Ok(at) = list.binary_search_by_key(&row, |posting| posting.0) {
                    list.remove(at);
                    self.posted -= 1;
                }
            }
        }
        if let Some(members) = self.sessions.get_mut(&self.rows[at].session) {
            members.retain(|&member| member != row);
        }
        self.rows[at].alive = false;
        self.dead += 1;
    }

    /// Replaces the terms of a memory.
    pub(super) fn set_terms(&mut self, id: MemoryId, old: &Terms, new: &Terms) {
        let Some(at) = self.find(id) else { return };
        let row = at as u32;
        self.drop_postings(row, old);
        for count in &new.counts {
            let list = self.postings.entry(count.term).or_default();
            let place = list.partition_point(|posting| posting.row < row);
            list.insert(place, Posting { row, in_text: count.in_text, in_context: count.in_context });
        }
        self.posted += new.counts.len();
        self.lengths[at] = [new.text_len, new.context_len];
    }

    fn drop_postings(&mut self, row: u32, terms: &Terms) {
        for count in &terms.counts {
            if let Some(list) = self.postings.get_mut(&count.term)
                && let Ok(at) = list.binary_search_by_key(&row, |posting| posting.row)
            {
                list.remove(at);
                self.posted -= 1;
            }
        }
    }

    fn find(&self, id: MemoryId) -> Option<usize> {
        // Changes mostly concern what was written last.
        self.rows.iter().rposition(|row| row.alive && row.id == id)
    }

    /// The rows just before and after a row in its session.
    pub(super) fn neighbours(&self, row: u32) -> [Option<u32>; 2] {
        let own = &self.rows[row as usize];
        let Some(members) = self.sessions.get(&own.session) else { return [None; 2] };
        let key = (own.position, row);
        let at = members.partition_point(|&member| (self.rows[member as usize].position, member) < key);
        [at.checked_sub(1).map(|at| members[at]), members.get(at + 1).copied()]
    }

    /// Whether every row is alive and none has expired before `today`.
    pub(super) fn all_shown(&self, today: i32) -> bool {
        self.dead == 0 && self.first_expiry >= today
    }

    /// Whether so many rows are dead that reading the scope anew is cheaper than carrying them.
    pub(super) fn worn(&self) -> bool {
        self.dead > 64 + self.rows.len() / 4
    }

    /// Reads the stored `bm25` slots of the scope, as of the connection's snapshot.
    pub(super) fn load_bm25(&mut self, connection: &Connection) -> Result<()> {
        let mut lists: FxHashMap<u32, Vec<(u32, f32)>> = FxHashMap::default();
        let mut statement = connection.prepare_cached("SELECT bm25 FROM signals WHERE slot = ?")?;
        for (number, row) in self.rows.iter().enumerate().filter(|(_, row)| row.alive) {
            let sparse = statement.query_row(params![row.slot], |found| {
                Ok(sparse_from_blob(found.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?))
            })?;
            for (term, value) in sparse {
                lists.entry(term).or_default().push((number as u32, value));
            }
        }
        self.posted += lists.values().map(Vec::len).sum::<usize>();
        self.bm25 = Some(lists);
        Ok(())
    }

    /// Bytes held, near enough.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.postings.len() + self.bm25.as_ref().map_or(0, FxHashMap::len);
        // Lists grow by doubling: half as much again is allocated on average.
        4 * self.vectors.capacity() + (size_of::<Row>() + 8) * self.rows.capacity() + 12 * self.posted + 48 * lists
    }
}

/// 1 / ‖v‖, or 0 for the zero vector.
pub(super) fn inverse_norm(vector: &[f32]) -> f32 {
    let square: f32 = vector.iter().map(|value| value * value).sum();
    if square > 0.0 { square.sqrt().recip() } else { 0.0 }
}
