//! Deleting: one memory, all of a scope, all that match, or all there are.

use std::collections::{BTreeSet, HashSet};

use mnemon_store::{
    Change, ChangeSet, Filter, HistoryEvent, Memory, MemoryId, MessageSelector, PageRequest, Scope, SessionWindow,
    StoreError, keys,
};

use crate::analyse::{CONTEXT_REACH, count_terms};
use crate::engine::{MAX_CONFLICTS, now_text};
use crate::session::speaker;
use crate::{Engine, Result};

/// Memories read at a time.
const STRETCH: usize = 10_000;
/// More than any session holds.
const WHOLE_SESSION: SessionWindow = SessionWindow::Last(1 << 32);

impl Engine {
    /// Deletes a memory with its vectors and links; its history stays and ends with `DELETE`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete(&self, id: MemoryId) -> Result<()> {
        let scope = self.owner(id)?;
        let sources = self.commit(&[&scope], || {
            let memory = self.store.get(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
            let (_, later) = self.recount(&memory, None)?;
            let event = HistoryEvent::deleted(&memory, &now_text());
            let mut changes = vec![Change::Remove(id), Change::History(Box::new(event))];
            changes.extend(later);
            Ok((ChangeSet { expected: Vec::new(), changes }, source_messages(&memory)))
        })?;
        self.forget(sources)
    }

    /// Messages go with the memories that were made of them.
    fn forget(&self, sources: Vec<String>) -> Result<()> {
        if !sources.is_empty() {
            self.store.delete_messages(&MessageSelector::Ids(sources))?;
        }
        Ok(())
    }

    /// Deletes every memory that carries all ids of the scope, expired ones included, and returns how many there were.
    /// All in one commit, made only once none is left.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] for a scope without ids: nothing deletes everybody's memories.
    pub fn delete_all(&self, scope: &Scope) -> Result<usize> {
        let nobody = || StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into());
        let filter = Filter::of_scope(scope).ok_or_else(nobody)?;
        let _serialised = self.lock(&[scope]);
        let removed = self.store.remove_matching(Some(&filter), &now_text())?;
        self.store.delete_messages(&MessageSelector::Of(scope.clone()))?;
        Ok(removed)
    }

    /// Deletes every memory the filter matches, whosever it is, expired ones included, and returns how many there were.
    /// All in one commit; what stays of a session gets the context it has now.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if others write to these scopes without end.
    pub fn delete_matching(&self, filter: &Filter) -> Result<usize> {
        // All memories of a session have one owner: it goes whole or stays whole, and no context changes.
        if asks_for_owners_only(filter) {
            let mut sources = Vec::new();
            self.for_each_match(filter, |memory| sources.extend(source_messages(memory)))?;
            let removed = self.store.remove_matching(Some(filter), &now_text())?;
            self.forget(sources)?;
            // Where the owners are named, what they said without saying a fact goes as well.
            let owner = Scope::pinned_by(filter);
            if Filter::of_scope(&owner).as_ref() == Some(filter) {
                self.store.delete_messages(&MessageSelector::Of(owner))?;
            }
            return Ok(removed);
        }
        for _ in 0..MAX_CONFLICTS {
            let mut scopes = BTreeSet::new();
            self.for_each_match(filter, |memory| {
                scopes.insert(memory.payload.scope());
            })?;
            let scopes: Vec<&Scope> = scopes.iter().collect();
            let removed = self.commit(&scopes, || self.removal(filter, &scopes))?;
            if let Some(gone) = removed {
                self.forget(gone.sources)?;
                return Ok(gone.memories);
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Deletes every memory of the store and returns how many there were. Their history stays, and so do the documents
    /// that a server keeps beside them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn reset(&self) -> Result<usize> {
        let removed = self.store.remove_matching(None, &now_text())?;
        self.store.delete_messages(&MessageSelector::All)?;
        Ok(removed)
    }

    /// What it takes to remove all that match, how many those are, and the messages they were made of; `None` if one belongs to another than these
    /// scopes, sorted, whose versions are known: it was added a moment ago.
    fn removal(&self, filter: &Filter, scopes: &[&Scope]) -> Result<(ChangeSet, Option<Gone>)> {
        let now = now_text();
        let mut changes = Vec::new();
        let mut gone = HashSet::new();
        let mut sources = Vec::new();
        let mut sessions = BTreeSet::new();
        let mut foreign = false;
        self.for_each_match(filter, |memory| {
            let scope = memory.payload.scope();
            foreign |= scopes.binary_search(&&scope).is_err();
            changes.push(Change::Remove(memory.id));
            changes.push(Change::History(Box::new(HistoryEvent::deleted(memory, &now))));
            gone.insert(memory.id);
            sources.extend(source_messages(memory));
            if let (Some(session), Some(_)) = (&memory.provenance.session, memory.provenance.position) {
                sessions.insert((scope, session.clone()));
            }
        })?;
        if foreign {
            return Ok((ChangeSet::default(), None));
        }
        for (scope, session) in sessions {
            changes.extend(left_behind(&self.store.session(&scope, &session, WHOLE_SESSION)?, &gone));
        }
        Ok((ChangeSet { expected: Vec::new(), changes }, Some(Gone { memories: gone.len(), sources })))
    }

    fn for_each_match(&self, filter: &Filter, mut each: impl FnMut(&Memory)) -> Result<()> {
        let mut page = PageRequest { limit: STRETCH, ..PageRequest::default() };
        loop {
            let found = self.store.list(Some(filter), None, &page)?;
            found.items.iter().for_each(&mut each);
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// What goes.
struct Gone {
    memories: usize,
    /// Ids of the messages they were made of.
    sources: Vec<String>,
}

/// New terms for those of a session, in order, whose context held one that is gone.
fn left_behind(session: &[Memory], gone: &HashSet<MemoryId>) -> Vec<Change> {
    let mut changes = Vec::new();
    // The last that stay, the nearest first.
    let mut before: Vec<&Memory> = Vec::new();
    for (at, memory) in session.iter().enumerate() {
        if gone.contains(&memory.id) {
            continue;
        }
        if session[at.saturating_sub(CONTEXT_REACH)..at].iter().any(|other| gone.contains(&other.id)) {
            let own = mnemon_text::index_terms(memory.payload.text());
            let context: Vec<Vec<u32>> =
                before.iter().map(|other| mnemon_text::index_terms(other.payload.text())).collect();
            let context: Vec<&[u32]> = context.iter().map(Vec::as_slice).collect();
            changes.push(Change::SetTerms(memory.id, count_terms(&own, &context, speaker(memory))));
        }
        before.insert(0, memory);
        before.truncate(CONTEXT_REACH);
    }
    changes
}

/// Ids of the messages that a memory was made of.
pub(crate) fn source_messages(memory: &Memory) -> Vec<String> {
    let ids = memory.payload.as_map().get(keys::SOURCE_MESSAGES).and_then(|ids| ids.as_array());
    ids.into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_owned())).collect()
}

fn asks_for_owners_only(filter: &Filter) -> bool {
    match filter {
        Filter::And(group) | Filter::Or(group) => group.iter().all(asks_for_owners_only),
        Filter::Not(inner) => asks_for_owners_only(inner),
        Filter::Scope(_) => true,
        Filter::Field(_) => false,
    }
}
