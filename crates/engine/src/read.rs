//! Reading what is stored: by id, by list, its history and its statistics.

use mnemon_store::{
    Entity, Filter, HistoryEvent, Link, Memory, MemoryId, Owner, Page, PageRequest, Scope, ScopeSummary, StoreError,
};

use crate::engine::today;
use crate::{Engine, EngineError, Result};

/// The most memories one page holds.
const MAX_PAGE: usize = 1000;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Which memories; `None` lists the whole store.
    pub filter: Option<Filter>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Memories to skip first, after the cursor.
    pub offset: usize,
    /// Memories a page, 1 ..= 1000.
    pub limit: usize,
    /// Shows expired memories too.
    pub show_expired: bool,
}

/// A memory with what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryDetail {
    /// The memory.
    pub memory: Memory,
    /// Entities it names.
    pub entities: Vec<Entity>,
    /// Links that start or end at it.
    pub links: Vec<Link>,
}

impl Engine {
    /// A memory by id. Expired ones are as if they were not there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn get(&self, id: MemoryId) -> Result<Memory> {
        let memory = self.store.get(&[id])?.pop().flatten();
        let shown = memory.filter(|memory| memory.payload.expiration_date().is_none_or(|last| last >= today()));
        Ok(shown.ok_or(StoreError::NotFound(id))?)
    }

    /// Whose a memory is, expired or not: writers may mend or remove what readers no longer see.
    pub(crate) fn owner(&self, id: MemoryId) -> Result<Scope> {
        let memory = self.store.get(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
        Ok(memory.payload.scope())
    }

    /// A memory with its entities and links.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn detail(&self, id: MemoryId) -> Result<MemoryDetail> {
        let memory = self.get(id)?;
        Ok(MemoryDetail { memory, entities: self.store.entities_of(id)?, links: self.store.links_of(id)? })
    }

    /// A page of memories, newest first, with the total over all pages.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a limit outside 1 ..= 1000; [`StoreError::InvalidCursor`].
    pub fn list(&self, request: &ListRequest) -> Result<Page<Memory>> {
        if !(1..=MAX_PAGE).contains(&request.limit) {
            return Err(EngineError::invalid(format!(
                "limit is {}; a page holds 1 to {MAX_PAGE} memories, more come with the cursor",
                request.limit
            )));
        }
        let today = (!request.show_expired).then(today);
        let page = PageRequest { cursor: request.cursor.clone(), offset: request.offset, limit: request.limit };
        Ok(self.store.list(request.filter.as_ref(), today, &page)?)
    }

    /// What happened to a memory, oldest first; empty if nothing is known of the id.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn history(&self, id: MemoryId) -> Result<Vec<HistoryEvent>> {
        Ok(self.store.history(&id.to_string())?)
    }

    /// Whose a memory is, expired or not, or was before it was deleted, as far as its history tells.
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

    /// Everybody who owns memories, expired ones included, sorted by kind (agents, apps, runs, users) and id; with
    /// `within`, those that own memories of this user.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        Ok(self.store.owners(within)?)
    }

    /// How much is stored for a scope, expired memories included.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] for a scope without ids.
    pub fn stats(&self, scope: &Scope) -> Result<ScopeSummary> {
        Ok(self.store.summary(scope)?)
    }
}
