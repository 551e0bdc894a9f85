//! Makes the terms of memories that an older version stored again, in batches, while searches go on.

use std::collections::{BTreeMap, HashMap};

use mnemon_store::{Change, ChangeSet, MemoryId, PageRequest, Scope, TermsState};

use crate::engine::Engine;
use crate::error::Result;
use crate::session::recount;

/// Memories whose terms are made and recorded together.
const BATCH: usize = 200;

/// How far the memories of a store have the terms of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReindexProgress {
    /// Memories whose terms were made again.
    pub done: usize,
    /// All memories.
    pub total: usize,
}

impl Engine {
    /// How far the terms of an older version were made again; `None` if no memory has such terms. Until then memories are
    /// found by their old terms.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn reindex_progress(&self) -> Result<Option<ReindexProgress>> {
        let state = self.store.terms_state()?;
        if !state.is_old() {
            return Ok(None);
        }
        let total = self.store.list(None, None, &PageRequest { limit: 1, ..PageRequest::default() })?.total;
        Ok(Some(ReindexProgress { done: state.done.min(total), total }))
    }

    /// Makes the terms of the next memories again, newest first. Returns whether more memories have old terms. The progress is
    /// recorded in the store after each batch, so that another process continues there.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn reindex_batch(&self) -> Result<bool> {
        let state = self.store.terms_state()?;
        if !state.is_old() {
            return Ok(false);
        }
        let page = PageRequest { cursor: state.cursor.clone(), limit: BATCH, ..PageRequest::default() };
        let page = self.store.list(None, None, &page)?;
        let mut scopes: BTreeMap<Scope, Vec<MemoryId>> = BTreeMap::new();
        for memory in &page.items {
            scopes.entry(memory.payload.scope()).or_default().push(memory.id);
        }
        for (scope, ids) in &scopes {
            self.commit(&[scope], || {
                let mut changes = Vec::with_capacity(ids.len());
                for memory in self.store.get(ids)?.into_iter().flatten() {
                    if memory.payload.scope() == *scope {
                        let (terms, _) = recount(self.store(), &memory, Some(memory.payload.text()), &HashMap::new())?;
                        changes.push(Change::SetTerms(memory.id, terms));
                    }
                }
                Ok((ChangeSet { expected: Vec::new(), changes }, ()))
            })?;
        }
        let next = match page.next {
            Some(cursor) => TermsState { cursor: Some(cursor), done: state.done + page.items.len(), ..state },
            None => TermsState::current(),
        };
        self.store.set_terms_state(&next)?;
        Ok(next.is_old())
    }
}
