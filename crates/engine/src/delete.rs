//! Deletes one memory, the memories of a scope, those that match a filter, or all of them.

use std::collections::{BTreeSet, HashMap, HashSet};

use mnemon_store::{
    Change, ChangeSet, Filter, HistoryEvent, Memory, MemoryId, MessageSelector, PageRequest, Scope, SessionWindow,
    Store, StoreError, keys,
};

use crate::engine::{Engine, MAX_CONFLICTS};
use crate::error::Result;
use crate::read::{source_message_ids, stored_scope};
use crate::session::recount;
use crate::terms::{CONTEXT_MEMORIES, count_terms};
use crate::time::now_text;
use crate::validate::check_owners;

/// Memories that are read together.
const BATCH: usize = 10_000;
/// Most source messages that a filter names one by one.
const MAX_SOURCES: usize = 100;
/// A window that is larger than any session.
const WHOLE_SESSION: SessionWindow = SessionWindow::Last(1 << 32);

impl Engine {
    /// Deletes a memory with its vectors and links. Its history is kept and ends with `DELETE`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete(&self, id: MemoryId) -> Result<()> {
        let scope = stored_scope(self.store(), id)?;
        let messages = self.commit(&[&scope], || {
            let memory = self.store.get(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
            let (_, context_changes) = recount(self.store(), &memory, None, &HashMap::new())?;
            let event = HistoryEvent::deleted(&memory, &now_text());
            let mut changes = vec![Change::Remove(id), Change::History(Box::new(event))];
            changes.extend(context_changes);
            Ok((ChangeSet { expected: Vec::new(), changes }, source_message_ids(&memory)))
        })?;
        self.delete_source_messages(messages, &[&scope])
    }

    /// Deletes memories in one commit, all or none. An id that is given twice counts once.
    ///
    /// # Errors
    /// As [`Engine::delete`].
    pub fn delete_batch(&self, ids: &[MemoryId]) -> Result<()> {
        let scopes = ids.iter().map(|id| stored_scope(self.store(), *id)).collect::<Result<BTreeSet<Scope>>>()?;
        let scopes: Vec<&Scope> = scopes.iter().collect();
        let messages = self.commit(&scopes, || {
            let mut removal = Removal::new();
            for (id, memory) in ids.iter().zip(self.store.get(ids)?) {
                removal.add(&memory.ok_or(StoreError::NotFound(*id))?);
            }
            Ok((removal.changes(self.store())?, removal.messages))
        })?;
        self.delete_source_messages(messages, &scopes)
    }

    /// Deletes all memories that have all ids of the scope, as [`Engine::delete_matching`] does. Returns their number.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] for a scope without ids, which would match the memories of all owners.
    pub fn delete_all(&self, scope: &Scope) -> Result<usize> {
        let no_ids = || StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into());
        self.delete_matching(&Filter::of_scope(scope).ok_or_else(no_ids)?)
    }

    /// Deletes all memories that match the filter, of all owners, expired ones included, in one commit. The contexts of the
    /// remaining memories of their sessions are recounted. Pending and parked requests whose facts would match are
    /// cancelled. If the filter asks for owners only, all messages of these owners are deleted, also those that gave no
    /// fact. Returns the number of deleted memories.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if other writers keep changing the same scopes; [`EngineError::Invalid`](crate::EngineError::Invalid)
    /// for a filter with two different values of one scope id.
    pub fn delete_matching(&self, filter: &Filter) -> Result<usize> {
        let filter = &self.stored_filter(filter)?;
        check_owners(filter)?;
        let cancelled = self.cancel_pending(Some(filter))?;
        if filter.is_of_owners() {
            return self.delete_by_owner(filter, cancelled.into_iter().map(|(_, owner)| owner));
        }
        for _ in 0..MAX_CONFLICTS {
            let mut scopes = BTreeSet::new();
            self.for_each_match(filter, |memory| {
                scopes.insert(memory.payload.scope());
            })?;
            let scopes: Vec<&Scope> = scopes.iter().collect();
            if let Some(removal) = self.commit(&scopes, || self.removal(filter, &scopes))? {
                self.delete_source_messages(removal.messages, &scopes)?;
                return Ok(removal.removed.len());
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Deletes all memories of the store with all messages, cancels all requests, and returns the number of memories.
    /// Their history is kept, and so are the other documents that a server stores beside them.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn reset(&self) -> Result<usize> {
        self.cancel_pending(None)?;
        let removed = self.store.remove_matching(None, &now_text())?;
        self.store.delete_messages(&MessageSelector::All)?;
        Ok(removed)
    }

    /// Deletes what a filter over owners alone matches. All memories of a session have one owner, so a session is deleted
    /// as a whole or not at all, and no context changes. `cancelled` are the owners of the requests that were cancelled.
    fn delete_by_owner(&self, filter: &Filter, cancelled: impl Iterator<Item = Scope>) -> Result<usize> {
        let removed = self.store.remove_matching(Some(filter), &now_text())?;
        let mut owners: BTreeSet<String> = cancelled.map(|owner| owner.session_scope()).collect();
        for owner in self.store.message_owners()? {
            if filter.admits_owner(&self.stored_scope(&Scope::from_session_scope(&owner))?) {
                owners.insert(owner);
            }
        }
        self.store.delete_messages(&MessageSelector::OfOwners(owners.into_iter().collect()))?;
        Ok(removed)
    }

    /// The removal of all memories that match. `None` if one of them has none of these scopes (sorted): it was added after
    /// the scopes were collected, so its version is not known.
    fn removal(&self, filter: &Filter, scopes: &[&Scope]) -> Result<(ChangeSet, Option<Removal>)> {
        let mut removal = Removal::new();
        let mut unknown_scope = false;
        self.for_each_match(filter, |memory| {
            unknown_scope |= scopes.binary_search(&&memory.payload.scope()).is_err();
            removal.add(memory);
        })?;
        if unknown_scope {
            return Ok((ChangeSet::default(), None));
        }
        Ok((removal.changes(self.store())?, Some(removal)))
    }

    fn for_each_match(&self, filter: &Filter, mut each: impl FnMut(&Memory)) -> Result<()> {
        let mut page = PageRequest { limit: BATCH, ..PageRequest::default() };
        loop {
            let found = self.store.list(Some(filter), None, &page)?;
            found.items.iter().for_each(&mut each);
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes the source messages of removed memories of these scopes, except those that another memory was extracted from
    /// as well. It has the same owner.
    fn delete_source_messages(&self, mut ids: Vec<String>, scopes: &[&Scope]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let of_sources = match ids.len() {
            ..=MAX_SOURCES => Filter::one_of(keys::SOURCE_MESSAGES, ids.iter().map(String::as_str))?,
            _ => Filter::exists(keys::SOURCE_MESSAGES)?,
        };
        let mut used: HashSet<String> = HashSet::new();
        for scope in scopes {
            let filter = Filter::all(Filter::of_scope(scope).into_iter().chain([of_sources.clone()]));
            if let Some(filter) = filter {
                self.for_each_match(&filter, |memory| used.extend(source_message_ids(memory)))?;
            }
        }
        ids.retain(|id| !used.contains(id));
        self.store.delete_messages(&MessageSelector::Ids(ids))?;
        Ok(())
    }
}

/// The removal of memories in one change set.
struct Removal {
    now: String,
    changes: Vec<Change>,
    removed: HashSet<MemoryId>,
    /// Ids of their source messages.
    messages: Vec<String>,
    /// The sessions that they are in.
    sessions: BTreeSet<(Scope, String)>,
}

impl Removal {
    fn new() -> Self {
        Self {
            now: now_text(),
            changes: Vec::new(),
            removed: HashSet::new(),
            messages: Vec::new(),
            sessions: BTreeSet::new(),
        }
    }

    fn add(&mut self, memory: &Memory) {
        if !self.removed.insert(memory.id) {
            return;
        }
        self.changes.push(Change::Remove(memory.id));
        self.changes.push(Change::History(Box::new(HistoryEvent::deleted(memory, &self.now))));
        self.messages.extend(source_message_ids(memory));
        if let (Some(session), Some(_)) = (&memory.provenance.session, memory.provenance.position) {
            self.sessions.insert((memory.payload.scope(), session.clone()));
        }
    }

    /// The change set, with new terms for the memories whose contexts contained removed ones. It is taken out.
    fn changes(&mut self, store: &dyn Store) -> Result<ChangeSet> {
        let mut changes = std::mem::take(&mut self.changes);
        for (scope, session) in &self.sessions {
            changes.extend(recount_remaining(&store.session(scope, session, WHOLE_SESSION)?, &self.removed));
        }
        Ok(ChangeSet { expected: Vec::new(), changes })
    }
}

/// New terms for the remaining memories of a session whose contexts contained removed ones. `session` is in order.
fn recount_remaining(session: &[Memory], removed: &HashSet<MemoryId>) -> Vec<Change> {
    let mut changes = Vec::new();
    // The last remaining memories, nearest first.
    let mut before: Vec<&Memory> = Vec::new();
    for (at, memory) in session.iter().enumerate() {
        if removed.contains(&memory.id) {
            continue;
        }
        if session[at.saturating_sub(CONTEXT_MEMORIES)..at].iter().any(|other| removed.contains(&other.id)) {
            let own = mnemon_text::index_terms(memory.payload.text());
            let context: Vec<Vec<u32>> =
                before.iter().map(|other| mnemon_text::index_terms(other.payload.text()).words).collect();
            let context: Vec<&[u32]> = context.iter().map(Vec::as_slice).collect();
            changes.push(Change::SetTerms(memory.id, count_terms(&own, &context, memory.payload.speaker())));
        }
        before.insert(0, memory);
        before.truncate(CONTEXT_MEMORIES);
    }
    changes
}
