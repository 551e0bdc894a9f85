//! Which session a memory belongs to, its place in it, and the terms that came before.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use mnemon_store::{Change, Memory, MemoryId, Provenance, Scope, SessionWindow, Terms};

use crate::analyse::{CONTEXT_REACH, count_terms};
use crate::{Engine, Result};

/// Sessions while memories are being added, ahead of what the store knows.
pub(crate) struct Sessions<'e> {
    engine: &'e Engine,
    tails: HashMap<(Scope, String), Tail>,
    latest: HashMap<Scope, Option<(String, Option<Timestamp>)>>,
}

/// The end of a session.
#[derive(Default)]
struct Tail {
    next_position: u32,
    /// Terms of the last memories, the newest first.
    terms: VecDeque<Vec<u32>>,
}

impl Tail {
    /// The end of a session that ends in these memories.
    fn of(last: &[Memory]) -> Self {
        let next_position =
            last.last().and_then(|memory| memory.provenance.position).map_or(0, |p| p.saturating_add(1));
        let terms = last.iter().rev().map(|memory| mnemon_text::index_terms(memory.payload.text())).collect();
        Self { next_position, terms }
    }
}

impl<'e> Sessions<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine, tails: HashMap::new(), latest: HashMap::new() }
    }

    /// The session for something said at `time`: the scope's latest if it is not long past, else a new one, named after
    /// the time.
    pub(crate) fn current(&mut self, scope: &Scope, time: Timestamp) -> Result<String> {
        if !self.latest.contains_key(scope) {
            let found = self.engine.store.last_session(scope, CONTEXT_REACH)?;
            let last = found.and_then(|(last, tail)| {
                let session = last.provenance.session.clone()?;
                let time = last.happened_at();
                self.tails.entry((scope.clone(), session.clone())).or_insert_with(|| Tail::of(&tail));
                Some((session, time))
            });
            self.latest.insert(scope.clone(), last);
        }
        let gap = self.engine.config.session_gap;
        if let Some(Some((session, Some(last)))) = self.latest.get(scope) {
            let (early, late) = if *last <= time { (*last, time) } else { (time, *last) };
            if early.checked_add(gap).is_ok_and(|end| late <= end) {
                return Ok(session.clone());
            }
        }
        Ok(crate::engine::time_text(time))
    }

    /// Puts a memory at the end of a session and returns its place and the terms of text and context.
    pub(crate) fn append(
        &mut self,
        scope: &Scope,
        session: &str,
        time: Timestamp,
        own: &[u32],
        speaker: Option<&str>,
    ) -> Result<(u32, Terms)> {
        let key = (scope.clone(), session.to_owned());
        let tail = match self.tails.entry(key) {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let last = self.engine.store.session(scope, session, SessionWindow::Last(CONTEXT_REACH))?;
                place.insert(Tail::of(&last))
            }
        };
        let before: Vec<&[u32]> = tail.terms.iter().map(Vec::as_slice).collect();
        let terms = count_terms(own, &before, speaker);
        let position = tail.next_position;
        tail.next_position = tail.next_position.saturating_add(1);
        tail.terms.push_front(own.to_vec());
        tail.terms.truncate(CONTEXT_REACH);
        self.latest.insert(scope.clone(), Some((session.to_owned(), Some(time))));
        Ok((position, terms))
    }
}

impl Engine {
    /// The terms of a memory in its place, and the changes to those after it, once its text is `text` (`None`: gone).
    pub(crate) fn recount(&self, memory: &Memory, text: Option<&str>) -> Result<(Terms, Vec<Change>)> {
        let own = mnemon_text::index_terms(text.unwrap_or_default());
        let speaker = speaker(memory);
        let Provenance { session: Some(session), position: Some(position), .. } = &memory.provenance else {
            return Ok((count_terms(&own, &[], speaker), Vec::new()));
        };
        let window = SessionWindow::Around { position: *position, before: 2 * CONTEXT_REACH, after: CONTEXT_REACH };
        let around = self.store.session(&memory.payload.scope(), session, window)?;
        let mut line: Vec<(MemoryId, Vec<u32>, &Memory)> =
            around.iter().map(|other| (other.id, mnemon_text::index_terms(other.payload.text()), other)).collect();
        let place = around.partition_point(|other| other.provenance.position < Some(*position));
        if text.is_some() {
            line.insert(place, (memory.id, own.clone(), memory));
        }
        let terms_at = |at: usize| {
            let before: Vec<&[u32]> = line[..at].iter().rev().map(|(_, terms, _)| terms.as_slice()).collect();
            let (_, own, memory) = &line[at];
            count_terms(own, &before, self::speaker(memory))
        };
        let later = place + usize::from(text.is_some());
        let changes = (later..line.len()).map(|at| Change::SetTerms(line[at].0, terms_at(at))).collect();
        let terms = if text.is_some() { terms_at(place) } else { Terms::default() };
        Ok((terms, changes))
    }
}

/// Whose name counts as part of what was said.
pub(crate) fn speaker(memory: &Memory) -> Option<&str> {
    memory.payload.actor().or_else(|| memory.payload.role())
}
