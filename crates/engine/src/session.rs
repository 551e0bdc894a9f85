//! Sessions: which one a memory belongs to, its position there, and the terms of its context.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use jiff::{Span, Timestamp};
use mnemon_store::{Change, Memory, MemoryId, Provenance, Scope, SessionWindow, Store, Terms, time_text};
use mnemon_text::IndexTerms;

use crate::error::Result;
use crate::terms::{CONTEXT_MEMORIES, count_terms};

/// The sessions that a change set adds memories to. Counts memories that are added but not yet committed.
pub(crate) struct Sessions<'e> {
    store: &'e dyn Store,
    /// A longer pause starts a new session.
    gap: Span,
    tails: HashMap<(Scope, String), Tail>,
    /// The latest session of each scope, and the time of its last memory.
    latest: HashMap<Scope, Option<(String, Option<Timestamp>)>>,
}

/// The end of a session.
#[derive(Default)]
struct Tail {
    next_position: u32,
    /// Terms of the last memories, newest first.
    terms: VecDeque<Vec<u32>>,
}

impl Tail {
    /// The end of a session whose last memories are these, oldest first.
    fn after(last: &[Memory]) -> Self {
        let next_position =
            last.last().and_then(|memory| memory.provenance.position).map_or(0, |p| p.saturating_add(1));
        let terms = last.iter().rev().map(|memory| mnemon_text::index_terms(memory.payload.text()).words).collect();
        Self { next_position, terms }
    }
}

impl<'e> Sessions<'e> {
    pub(crate) fn new(store: &'e dyn Store, gap: Span) -> Self {
        Self { store, gap, tails: HashMap::new(), latest: HashMap::new() }
    }

    /// The session of a message at `time`: the scope's latest session unless the pause since its last memory is too long,
    /// else a new session named after the time.
    pub(crate) fn current(&mut self, scope: &Scope, time: Timestamp) -> Result<String> {
        if !self.latest.contains_key(scope) {
            let found = self.store.last_session(scope, CONTEXT_MEMORIES)?;
            let latest = found.and_then(|(last, tail)| {
                let session = last.provenance.session.clone()?;
                let time = last.happened_at();
                self.tails.entry((scope.clone(), session.clone())).or_insert_with(|| Tail::after(&tail));
                Some((session, time))
            });
            self.latest.insert(scope.clone(), latest);
        }
        if let Some(Some((session, Some(last)))) = self.latest.get(scope) {
            let (early, late) = if *last <= time { (*last, time) } else { (time, *last) };
            if early.checked_add(self.gap).is_ok_and(|end| late <= end) {
                return Ok(session.clone());
            }
        }
        Ok(time_text(time))
    }

    /// Appends a memory to a session. Returns its position and the counts of its terms.
    pub(crate) fn append(
        &mut self,
        scope: &Scope,
        session: &str,
        time: Timestamp,
        own: &IndexTerms,
        speaker: Option<&str>,
    ) -> Result<(u32, Terms)> {
        let tail = match self.tails.entry((scope.clone(), session.to_owned())) {
            Entry::Occupied(tail) => tail.into_mut(),
            Entry::Vacant(entry) => {
                let last = self.store.session(scope, session, SessionWindow::Last(CONTEXT_MEMORIES))?;
                entry.insert(Tail::after(&last))
            }
        };
        let before: Vec<&[u32]> = tail.terms.iter().map(Vec::as_slice).collect();
        let terms = count_terms(own, &before, speaker);
        let position = tail.next_position;
        tail.next_position = tail.next_position.saturating_add(1);
        tail.terms.push_front(own.words.clone());
        tail.terms.truncate(CONTEXT_MEMORIES);
        self.latest.insert(scope.clone(), Some((session.to_owned(), Some(time))));
        Ok((position, terms))
    }
}

/// Recounts the terms of a memory whose text becomes `text` (`None`: the memory is deleted). Returns its new terms and the
/// changes to the memories after it, whose contexts contain it. `new_texts` are the texts of other memories that the same
/// change set changes.
pub(crate) fn recount(
    store: &dyn Store,
    memory: &Memory,
    text: Option<&str>,
    new_texts: &HashMap<MemoryId, &str>,
) -> Result<(Terms, Vec<Change>)> {
    let own = mnemon_text::index_terms(text.unwrap_or_default());
    let Provenance { session: Some(session), position: Some(position), .. } = &memory.provenance else {
        return Ok((count_terms(&own, &[], memory.payload.speaker()), Vec::new()));
    };
    let window = SessionWindow::Around { position: *position, before: 2 * CONTEXT_MEMORIES, after: CONTEXT_MEMORIES };
    let around = store.session(&memory.payload.scope(), session, window)?;
    let text_of = |other: &Memory| match new_texts.get(&other.id) {
        Some(text) => mnemon_text::index_terms(text),
        None => mnemon_text::index_terms(other.payload.text()),
    };
    let mut sequence: Vec<(MemoryId, IndexTerms, &Memory)> =
        around.iter().map(|other| (other.id, text_of(other), other)).collect();
    let index = around.partition_point(|other| other.provenance.position < Some(*position));
    if text.is_some() {
        sequence.insert(index, (memory.id, own, memory));
    }
    let terms_at = |at: usize| {
        let before: Vec<&[u32]> = sequence[..at].iter().rev().map(|(_, terms, _)| &terms.words[..]).collect();
        let (_, own, memory) = &sequence[at];
        count_terms(own, &before, memory.payload.speaker())
    };
    let first_after = index + usize::from(text.is_some());
    let changes = (first_after..sequence.len()).map(|at| Change::SetTerms(sequence[at].0, terms_at(at))).collect();
    let terms = if text.is_some() { terms_at(index) } else { Terms::default() };
    Ok((terms, changes))
}
