//! A store of our own as a target.

use std::collections::HashMap;

use mnemon_store::{
    Change, ChangeSet, Filter, MemoryId, Record, Sparse, SparseQuery, Store, StoreError, StoredMemory, View,
};

use super::interface::Target;
use crate::error::Result;

/// A store of our own.
pub struct StoreTarget<'s> {
    store: &'s dyn Store,
}

impl std::fmt::Debug for StoreTarget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreTarget").finish_non_exhaustive()
    }
}

impl<'s> StoreTarget<'s> {
    /// Takes a store as a target.
    pub fn new(store: &'s dyn Store) -> Self {
        Self { store }
    }
}

impl Target for StoreTarget<'_> {
    fn location(&self) -> String {
        self.store.info().map_or_else(|_| "a store".to_owned(), |info| info.location)
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn batch_size(&self) -> usize {
        2000
    }

    fn builds_entities(&self) -> bool {
        true
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        let ids: Vec<MemoryId> = records.iter().map(|record| record.memory.id).collect();
        let there = self.store.get(&ids)?;
        let change = |(record, there): (Record, Option<_>)| match there {
            Some(_) => Change::Replace(Box::new(record)),
            None => Change::Insert(Box::new(record)),
        };
        let changes = records.into_iter().zip(there).map(change).collect();
        Ok(self.store.apply(&ChangeSet { expected: Vec::new(), changes })?)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        for id in ids {
            let changes = vec![Change::Remove(*id)];
            match self.store.apply(&ChangeSet { expected: Vec::new(), changes }) {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        let found = self.store.get_stored(ids)?;
        Ok(found.into_iter().flatten().map(|stored| (stored.memory.id, stored)).collect())
    }

    fn count(&self) -> Result<u64> {
        Ok(self.store.info()?.memories as u64)
    }

    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        let filter = Filter::eq("user_id", user).map_err(StoreError::from)?;
        let found = self.store.sparse(&View::new(&filter, None), &SparseQuery { vector, limit: 1 })?;
        Ok(found.first().map(|(id, _)| *id))
    }

    fn missing_indexes(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
