//! The index of one scope: a matrix of vectors, inverted lists of terms, and the values of each memory that ranking needs.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use crate::{MemoryId, Payload, Role, Sparse, Terms};

/// The inverted `bm25` vectors: for each term the rows that contain it with its value, sorted by row.
pub(crate) type Bm25Lists = FxHashMap<u32, Vec<(u32, f32)>>;

/// All memories with one scope id, at one version of that scope.
pub(crate) struct ScopeIndex {
    pub(crate) version: i64,
    pub(super) dims: usize,
    pub(super) rows: Vec<Row>,
    /// For each row, the number of terms in its text, and in its text with context.
    pub(super) lengths: Vec<[u32; 2]>,
    /// The vectors, row by row: rows.len() × dims.
    pub(super) vectors: Vec<f32>,
    /// 1 / norm of each vector; 0 for a zero vector.
    pub(super) inverse_norms: Vec<f32>,
    pub(super) postings: FxHashMap<u32, Vec<Posting>>,
    /// The inverted `bm25` vectors. Loaded when mem0's ranking is first used.
    pub(super) bm25: Option<Bm25Lists>,
    pub(super) actors: Vec<String>,
    /// The position of each name in `actors`.
    actor_numbers: HashMap<String, u32>,
    /// The rows of each session, sorted by position.
    pub(super) sessions: FxHashMap<u32, Vec<u32>>,
    dead: usize,
    /// The number of entries in all lists.
    list_entries: usize,
    /// The earliest expiration date of all rows.
    first_expiry: i32,
}

/// The values of a memory that ranking and filters need.
pub(crate) struct Row {
    /// Its sequence number among all memories of the store. Rows are sorted by it.
    pub(crate) slot: i64,
    #[cfg_attr(not(feature = "qdrant"), allow(dead_code, reason = "SQLite loads indexes as a whole"))]
    pub(crate) rev: i64,
    pub(crate) id: MemoryId,
    pub(super) scopes: [u32; 3],
    pub(super) session: u32,
    /// Position in the session. Memories without a position are last.
    pub(super) position: u32,
    pub(super) actor: Option<u32>,
    pub(super) by_user: bool,
    pub(super) day: Option<i32>,
    /// The last day on which it is visible; `i32::MAX` if it does not expire.
    pub(super) expires: i32,
    pub(super) holds_time_word: bool,
    pub(super) alive: bool,
}

/// A memory in the list of a term. Lists are sorted by row.
#[derive(Clone, Copy)]
pub(super) struct Posting {
    pub(super) row: u32,
    pub(super) in_text: u16,
    pub(super) in_context: u16,
}

/// A memory to add to an index.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) slot: i64,
    /// Differs after each change; 0 if the store does not use it.
    pub(crate) rev: i64,
    pub(crate) id: MemoryId,
    pub(crate) scopes: [i64; 3],
    pub(crate) session: i64,
    pub(crate) position: Option<u32>,
    pub(crate) actor: Option<String>,
    pub(crate) by_user: bool,
    pub(crate) day: Option<i32>,
    pub(crate) expires: Option<i32>,
    pub(crate) holds_time_word: bool,
    pub(crate) terms: Terms,
}

impl Entry {
    /// The name of the speaker, and whether the role is `user`.
    pub(crate) fn speaker(payload: &Payload) -> (Option<String>, bool) {
        (payload.actor().map(str::to_owned), payload.role() == Some(Role::User.as_str()))
    }
}

impl ScopeIndex {
    /// An index without memories, for a scope at this version.
    pub(crate) fn empty(dims: usize, version: i64) -> Self {
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
            list_entries: 0,
            first_expiry: i32::MAX,
        }
    }

    /// Reserves memory for this number of memories.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.rows.reserve_exact(count);
        self.lengths.reserve_exact(count);
        self.vectors.reserve_exact(count * self.dims);
        self.inverse_norms.reserve_exact(count);
    }

    /// Adds a memory at the end. Its slot must be larger than all others, and `vector` must have the dims of the index.
    pub(crate) fn push(&mut self, entry: Entry, vector: &[f32]) {
        debug_assert!(self.rows.last().is_none_or(|last| last.slot < entry.slot) && vector.len() == self.dims);
        self.vectors.extend_from_slice(vector);
        self.append(entry);
    }

    /// The rows of existing memories, with their numbers.
    pub(crate) fn living(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(&self.rows).filter(|(_, row)| row.alive)
    }

    /// The number of rows, including dead ones.
    #[cfg(feature = "qdrant")]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The vector of a row.
    #[cfg(feature = "qdrant")]
    pub(crate) fn vector(&self, row: u32) -> &[f32] {
        let start = row as usize * self.dims;
        &self.vectors[start..start + self.dims]
    }

    /// Whether the `bm25` vectors are loaded, which mem0's ranking needs.
    pub(crate) fn has_bm25(&self) -> bool {
        self.bm25.is_some()
    }

    /// Sets the inverted `bm25` vectors of all rows.
    pub(crate) fn set_bm25(&mut self, lists: Bm25Lists) {
        let entries = |lists: &Bm25Lists| lists.values().map(Vec::len).sum::<usize>();
        self.list_entries += entries(&lists);
        self.list_entries -= self.bm25.as_ref().map_or(0, entries);
        self.bm25 = Some(lists);
    }

    /// Adds a written memory; `vector` has the dims of the index. Rows stay sorted by slot, so that an updated index gives
    /// the same results as a newly loaded one: a replaced memory gets its old row. Returns `false` if the memory can't be
    /// added in order; the index must then be loaded again.
    #[must_use]
    pub(crate) fn insert(&mut self, entry: Entry, vector: &[f32], bm25: &Sparse) -> bool {
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
                self.push(entry, vector);
                end
            }
            Err(_) => return false,
        };
        if let Some(lists) = &mut self.bm25 {
            self.list_entries += bm25.len();
            for &(term, value) in bm25 {
                let list = lists.entry(term).or_default();
                let position = list.partition_point(|posting| posting.0 < at as u32);
                list.insert(position, (at as u32, value));
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

    /// Adds a memory to the inverted lists and returns its row.
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
        self.list_entries += entry.terms.counts.len();
        self.lengths[at] = [entry.terms.text_len, entry.terms.context_len];
        let expires = entry.expires.unwrap_or(i32::MAX);
        self.first_expiry = self.first_expiry.min(expires);
        let position = entry.position.unwrap_or(u32::MAX);
        if entry.session != 0 {
            let rows = &self.rows;
            let members = self.sessions.entry(entry.session as u32).or_default();
            let before = |&member: &u32| (rows[member as usize].position, member) < (position, row);
            // Usually it is the last one.
            let index = match members.last() {
                Some(last) if !before(last) => members.partition_point(before),
                _ => members.len(),
            };
            members.insert(index, row);
        }
        let actor = entry.actor.map(|name| self.actor_number(name));
        Row {
            slot: entry.slot,
            rev: entry.rev,
            id: entry.id,
            scopes: entry.scopes.map(|scope| scope as u32),
            session: entry.session as u32,
            position,
            actor,
            by_user: entry.by_user,
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

    /// Removes a memory. Its row is marked dead and stays until the index is loaded again.
    pub(crate) fn remove(&mut self, id: MemoryId, terms: &Terms) {
        let Some(at) = self.find(id) else { return };
        let row = at as u32;
        self.drop_postings(row, terms);
        if let Some(lists) = &mut self.bm25 {
            for list in lists.values_mut() {
                if let Ok(at) = list.binary_search_by_key(&row, |posting| posting.0) {
                    list.remove(at);
                    self.list_entries -= 1;
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
    pub(crate) fn set_terms(&mut self, id: MemoryId, old: &Terms, new: &Terms) {
        let Some(at) = self.find(id) else { return };
        let row = at as u32;
        self.drop_postings(row, old);
        for count in &new.counts {
            let list = self.postings.entry(count.term).or_default();
            let position = list.partition_point(|posting| posting.row < row);
            list.insert(position, Posting { row, in_text: count.in_text, in_context: count.in_context });
        }
        self.list_entries += new.counts.len();
        self.lengths[at] = [new.text_len, new.context_len];
    }

    fn drop_postings(&mut self, row: u32, terms: &Terms) {
        for count in &terms.counts {
            if let Some(list) = self.postings.get_mut(&count.term)
                && let Ok(at) = list.binary_search_by_key(&row, |posting| posting.row)
            {
                list.remove(at);
                self.list_entries -= 1;
            }
        }
    }

    fn find(&self, id: MemoryId) -> Option<usize> {
        // Most changes concern the memories that were written last.
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

    /// Whether no row is dead or expired before `today`.
    pub(super) fn all_shown(&self, today: i32) -> bool {
        self.dead == 0 && self.first_expiry >= today
    }

    /// Whether so many rows are dead that loading the index again is cheaper than keeping them.
    pub(crate) fn is_worn(&self) -> bool {
        self.dead > 64 + self.rows.len() / 4
    }

    /// The approximate size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.postings.len() + self.bm25.as_ref().map_or(0, FxHashMap::len);
        // Lists grow by doubling, so that on average 50 % more than their length is allocated.
        4 * self.vectors.capacity()
            + (size_of::<Row>() + 8) * self.rows.capacity()
            + 12 * self.list_entries
            + 48 * lists
    }
}

/// 1 / ‖v‖, or 0 for the zero vector.
pub(crate) fn inverse_norm(vector: &[f32]) -> f32 {
    let square: f32 = vector.iter().map(|value| value * value).sum();
    if square > 0.0 { square.sqrt().recip() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope_index::Rows;
    use crate::{Result, TermCount};

    fn entry(slot: i64, terms: &[u32]) -> Entry {
        let counts: Vec<_> = terms.iter().map(|&term| TermCount { term, in_text: 1, in_context: 2 }).collect();
        let (text_len, context_len) = (counts.len() as u32, 2 * counts.len() as u32);
        Entry {
            slot,
            id: MemoryId::Number(slot as u64),
            scopes: [1, 0, 0],
            session: 3,
            position: Some(slot as u32),
            actor: None,
            by_user: true,
            day: None,
            expires: None,
            holds_time_word: false,
            terms: Terms { counts, text_len, context_len },
            rev: 0,
        }
    }

    fn filled() -> ScopeIndex {
        let mut index = ScopeIndex::empty(2, 1);
        index.reserve(3);
        for (slot, terms) in [(10, &[1, 2][..]), (20, &[2, 3]), (30, &[3])] {
            index.push(entry(slot, terms), &[slot as f32, 1.0]);
        }
        index.set_bm25(Bm25Lists::from_iter([(1, vec![(0, 0.5)]), (2, vec![(0, 0.5), (1, 0.7)])]));
        index
    }

    /// A text with all non-empty lists and the lengths of the memories.
    fn lists(index: &ScopeIndex) -> String {
        let mut lists = Vec::new();
        for (term, list) in index.postings.iter().filter(|(_, list)| !list.is_empty()) {
            let rows: Vec<_> = list.iter().map(|posting| (posting.row, posting.in_text, posting.in_context)).collect();
            lists.push(format!("{term}: {rows:?}"));
        }
        for (term, list) in index.bm25.iter().flatten().filter(|(_, list)| !list.is_empty()) {
            lists.push(format!("bm25 {term}: {list:?}"));
        }
        lists.sort();
        format!("{lists:?} {:?} {:?} {}", index.lengths, index.sessions[&3], index.list_entries)
    }

    fn shown(index: &ScopeIndex) -> Vec<u64> {
        let rows = Rows::of(index, &[Some(1), None, None], None, Some(Box::new(|row| Ok(row.slot != 30))));
        let number = |id| if let MemoryId::Number(number) = id { number } else { unreachable!() };
        rows.ids(index).unwrap().into_iter().map(number).collect()
    }

    #[test]
    fn removing_a_memory_removes_its_terms_and_set_terms_replaces_them() {
        let mut index = filled();
        index.remove(MemoryId::Number(20), &entry(20, &[2, 3]).terms);
        let text = lists(&index);
        assert!(text.contains("\"2: [(0, 1, 2)]\"") && text.contains("\"3: [(2, 1, 2)]\""), "{text}");
        assert!(text.contains("\"bm25 2: [(0, 0.5)]\"") && text.contains("[0, 2] 5"), "{text}");
        assert_eq!(shown(&index), [10]);
        index.set_terms(MemoryId::Number(10), &entry(10, &[1, 2]).terms, &entry(10, &[7]).terms);
        let text = lists(&index);
        assert!(text.contains("\"7: [(0, 1, 2)]\"") && text.contains("[[1, 2], [2, 4], [1, 2]]"), "{text}");
        assert!(!text.contains("\"1: ") && !text.contains("\"2: "), "{text}");
    }

    #[test]
    fn a_replaced_memory_gets_its_old_row() {
        let mut index = filled();
        index.remove(MemoryId::Number(20), &entry(20, &[2, 3]).terms);
        assert!(index.insert(entry(20, &[2, 3]), &[20.0, 1.0], &vec![(2, 0.7)]));
        assert_eq!(lists(&index), lists(&filled()));
        assert_eq!(index.rows.iter().map(|row| row.slot).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(shown(&index), [10, 20]);
        assert!(!index.insert(entry(15, &[]), &[0.0; 2], &Vec::new()), "a new slot must be the largest");
    }

    #[test]
    fn conditions_are_evaluated_once_and_only_in_scope() -> Result<()> {
        let mut index = filled();
        index.remove(MemoryId::Number(10), &entry(10, &[1, 2]).terms);
        let evaluated = std::cell::RefCell::new(Vec::new());
        let decide = |row: &Row| {
            evaluated.borrow_mut().push(row.slot);
            Ok(row.slot == 30)
        };
        let rows = Rows::of(&index, &[Some(1), None, None], None, Some(Box::new(decide)));
        for _ in 0..2 {
            assert_eq!(rows.ids(&index)?, [MemoryId::Number(30)]);
        }
        assert_eq!(*evaluated.borrow(), [20, 30]);
        Ok(())
    }
}
