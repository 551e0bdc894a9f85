//! Reads memories by id or as a list, their history, their owners, and statistics.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use mnemon_store::filter::ScopeKey;
use mnemon_store::{
    Entity, Filter, FilterError, HistoryEvent, Link, Memory, MemoryId, Owner, Page, PageRequest, Scope, ScopeSummary,
    SessionMessage, Store, StoreError, keys,
};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::time::today;
use crate::validate::check_owners;
use crate::versions::Versions;

/// Maximum number of memories on a page.
const MAX_PAGE: usize = 1000;

/// What the cursors of lists of current facts begin with.
const CURRENT_CURSOR: &str = "current:";

/// Which memories to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only memories that match; `None` lists the whole store.
    pub filter: Option<Filter>,
    /// Only the memories with these ids, in this order. The list has no cursor then.
    pub ids: Option<Vec<MemoryId>>,
    /// The `next` of the previous page.
    pub cursor: Option<String>,
    /// Number of memories to skip after the cursor.
    pub offset: usize,
    /// Number of memories on a page, 1 ..= 1000.
    pub limit: usize,
    /// Includes expired memories.
    pub show_expired: bool,
    /// Leaves out facts that are superseded, as far as the list would show the newer ones. This reads all memories that match.
    pub latest_only: bool,
}

/// How many memories have a vector that is not that of their whole text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingCounts {
    /// The vector is the mean of the vectors of several pieces.
    pub in_pieces: usize,
    /// The embedder refused a part of the text, or all of it.
    pub incomplete: usize,
    /// The embedder refused the whole text: only its words are searched.
    pub without_vector: usize,
}

/// The facts before and after a fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// The newest of the current facts that replace it; `None` if it is current itself.
    pub superseded_by: Option<MemoryId>,
    /// The facts that it replaces, the last ones first, if it is current.
    pub supersedes: Vec<MemoryId>,
}

/// A memory with its entities and links.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryDetail {
    /// The memory.
    pub memory: Memory,
    /// The entities that it mentions.
    pub entities: Vec<Entity>,
    /// The links that start or end at it.
    pub links: Vec<Link>,
}

impl Engine {
    /// A memory by id. Expired memories are not found.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn get(&self, id: MemoryId) -> Result<Memory> {
        let memory = self.store.get(&[id])?.pop().flatten();
        let shown = memory.filter(|memory| !memory.payload.is_expired(today()));
        Ok(shown.ok_or(StoreError::NotFound(id))?)
    }

    /// A memory with its entities and links.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn detail(&self, id: MemoryId) -> Result<MemoryDetail> {
        let memory = self.get(id)?;
        Ok(MemoryDetail { memory, entities: self.store.entities_of(id)?, links: self.store.links_of(id)? })
    }

    /// Of each of these memories, the newest of the current facts that replace it, and the facts that it replaces, the last
    /// ones first. A fact that is expired or not visible replaces nothing. Memories that have neither are left out.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn replacements(
        &self,
        ids: &[MemoryId],
        is_visible: &dyn Fn(&Memory) -> bool,
    ) -> Result<HashMap<MemoryId, Replacement>> {
        let links = self.store.versions(ids)?;
        let linked: HashSet<MemoryId> = links.iter().flat_map(|link| [link.source, link.target]).collect();
        let today = today();
        let linked = self.store.get(&linked.into_iter().collect::<Vec<_>>())?.into_iter().flatten();
        let visible = linked.filter(|memory| is_visible(memory) && !memory.payload.is_expired(today));
        let versions = Versions::new(&links, &visible.map(|memory| memory.id).collect());
        let replacement =
            |id| Replacement { superseded_by: versions.superseded_by(id), supersedes: versions.replaced_by(id) };
        let found = ids.iter().map(|id| (*id, replacement(*id)));
        Ok(found.filter(|(_, found)| *found != Replacement::default()).collect())
    }

    /// A page of memories, newest first unless `ids` are given, with the total number over all pages.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a limit outside 1 ..= 1000, or a filter with two different values of one scope id; [`StoreError::InvalidCursor`].
    pub fn list(&self, request: &ListRequest) -> Result<Page<Memory>> {
        if !(1..=MAX_PAGE).contains(&request.limit) {
            return Err(EngineError::invalid(format!(
                "limit is {}; it must be 1 to {MAX_PAGE}: use the cursor to read more",
                request.limit
            )));
        }
        let stored = request.filter.as_ref().map(|filter| self.stored_filter(filter)).transpose()?;
        let request = &ListRequest { filter: stored, ..request.clone() };
        if let Some(filter) = &request.filter {
            check_owners(filter)?;
        }
        let today = (!request.show_expired).then(today);
        if request.latest_only {
            return self.list_current(request, today);
        }
        if let Some(ids) = &request.ids {
            let found = self.listed(ids, request, today)?;
            let total = found.len();
            let items = found.into_iter().skip(request.offset).take(request.limit).collect();
            return Ok(Page { items, total, next: None });
        }
        let page = PageRequest { cursor: request.cursor.clone(), offset: request.offset, limit: request.limit };
        Ok(self.store.list(request.filter.as_ref(), today, &page)?)
    }

    /// The memories with these ids that the request may list.
    fn listed(&self, ids: &[MemoryId], request: &ListRequest, today: Option<Date>) -> Result<Vec<Memory>> {
        let is_shown = |memory: &Memory| {
            today.is_none_or(|today| !memory.payload.is_expired(today))
                && request.filter.as_ref().is_none_or(|filter| memory.matches(filter))
        };
        Ok(self.store.get(ids)?.into_iter().flatten().filter(is_shown).collect())
    }

    /// The page of a list of current facts. Its cursor is the number of facts before the next page.
    fn list_current(&self, request: &ListRequest, today: Option<Date>) -> Result<Page<Memory>> {
        let before = match &request.cursor {
            Some(cursor) => cursor
                .strip_prefix(CURRENT_CURSOR)
                .and_then(|before| before.parse::<usize>().ok())
                .ok_or(StoreError::InvalidCursor)?,
            None => 0,
        };
        let mut found = match &request.ids {
            Some(ids) => self.listed(ids, request, today)?,
            None => self.all_matching(request.filter.as_ref(), today)?,
        };
        let ids: Vec<MemoryId> = found.iter().map(|memory| memory.id).collect();
        let versions = Versions::new(&self.store.versions(&ids)?, &ids.iter().copied().collect());
        found.retain(|memory| versions.superseded_by(memory.id).is_none());
        let (total, start) = (found.len(), before.saturating_add(request.offset));
        let items: Vec<Memory> = found.into_iter().skip(start).take(request.limit).collect();
        let end = start.saturating_add(items.len());
        let next = (end < total && request.ids.is_none()).then(|| format!("{CURRENT_CURSOR}{end}"));
        Ok(Page { items, total, next })
    }

    fn all_matching(&self, filter: Option<&Filter>, today: Option<Date>) -> Result<Vec<Memory>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.list(filter, today, &PageRequest { cursor, offset: 0, limit: MAX_PAGE })?;
            found.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Counts the memories, expired ones included, whose vector is not that of their whole text.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn embedding_counts(&self) -> Result<EmbeddingCounts> {
        let count = |filter: Result<Filter, FilterError>| -> Result<usize> {
            let page = PageRequest { cursor: None, offset: 0, limit: 1 };
            Ok(self.store.list(Some(&filter.map_err(StoreError::from)?), None, &page)?.total)
        };
        Ok(EmbeddingCounts {
            in_pieces: count(Filter::operator(keys::VECTOR_PIECES, "gte", 2.into()))?,
            incomplete: count(Filter::operator(keys::VECTOR_LEFT_OUT, "gte", 1.into()))?,
            without_vector: count(Filter::operator(keys::VECTOR_PIECES, "lte", 0.into()))?,
        })
    }

    /// The history of a memory, oldest event first; empty for an unknown id.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn history(&self, id: MemoryId) -> Result<Vec<HistoryEvent>> {
        Ok(self.store.history(&id.to_string())?)
    }

    /// The messages that a memory was extracted from, without those that were deleted.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn source_messages(&self, memory: &Memory) -> Result<Vec<SessionMessage>> {
        let ids = source_message_ids(memory);
        Ok(if ids.is_empty() { Vec::new() } else { self.store.messages(&ids)?.into_iter().flatten().collect() })
    }

    /// The scope of a memory, expired or not. For a deleted memory it is read from the history.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn scope_of(&self, id: MemoryId) -> Result<Option<Scope>> {
        if let Some(memory) = self.store.get(&[id])?.pop().flatten() {
            return Ok(Some(memory.payload.scope()));
        }
        let scopes = self.history(id)?.into_iter().rev().map(|event| event.scope);
        Ok(scopes.into_iter().find(|scope| !scope.is_empty()))
    }

    /// All owners of memories, expired ones included, sorted by kind (agents, apps, runs, users) and id. With `within`: the
    /// owners that share a memory with this user.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        let within = within.map(|user| self.stored_id(ScopeKey::User, user)).transpose()?;
        Ok(self.store.owners(within.as_deref())?)
    }

    /// Counts the records of a scope, expired memories included.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] for a scope without ids.
    pub fn stats(&self, scope: &Scope) -> Result<ScopeSummary> {
        Ok(self.store.summary(&self.stored_scope(scope)?)?)
    }
}

/// The scope of a stored memory, expired or not: expired memories can be changed and deleted.
///
/// # Errors
/// [`StoreError::NotFound`].
pub(crate) fn stored_scope(store: &dyn Store, id: MemoryId) -> Result<Scope> {
    let memory = store.get(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
    Ok(memory.payload.scope())
}

/// Ids of the messages that a memory was extracted from.
pub(crate) fn source_message_ids(memory: &Memory) -> Vec<String> {
    let ids = memory.payload.as_map().get(keys::SOURCE_MESSAGES).and_then(|ids| ids.as_array());
    ids.into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_owned())).collect()
}
