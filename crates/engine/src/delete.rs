//! Deleting: one memory, or all of a scope.

use mnemon_store::{Change, ChangeSet, HistoryEvent, MemoryId, Scope, StoreError};

use crate::engine::now_text;
use crate::{Engine, Result};

impl Engine {
    /// Deletes a memory with its vectors and links; its history stays and ends with `DELETE`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete(&self, id: MemoryId) -> Result<()> {
        let scope = self.owner(id)?;
        self.commit(&[&scope], || {
            let memory = self.store.get(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
            let (_, later) = self.recount(&memory, None)?;
            let event = HistoryEvent::deleted(&memory, &now_text());
            let mut changes = vec![Change::Remove(id), Change::History(Box::new(event))];
            changes.extend(later);
            Ok((ChangeSet { expected: Vec::new(), changes }, ()))
        })
    }

    /// Deletes every memory that carries all ids of the scope, expired ones included, and returns how many there were.
    /// All in one commit, made only once none is left.
    ///
    /// # Errors
    /// [`StoreError::InvalidScope`] for a scope without ids: nothing deletes everybody's memories.
    pub fn delete_all(&self, scope: &Scope) -> Result<usize> {
        let _serialised = self.lock(&[scope]);
        Ok(self.store.remove_scope(scope, &now_text())?)
    }
}
