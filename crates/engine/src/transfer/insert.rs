//! Inserts memories that are not stored yet.

use mnemon_store::{Change, ChangeSet, Store, StoreError};

use crate::error::Result;

/// Commits inserts whose ids were unused when they were checked. Memories that another import has stored since then are
/// left out; returns their number.
pub(super) fn insert_new(store: &dyn Store, changes: Vec<Change>) -> Result<usize> {
    let mut changes = ChangeSet { expected: Vec::new(), changes };
    let mut existing = 0;
    loop {
        match store.apply(&changes) {
            Ok(()) => return Ok(existing),
            Err(StoreError::Exists(id)) => {
                changes.changes.retain(|change| !matches!(change, Change::Insert(new) if new.memory.id == id));
                existing += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
