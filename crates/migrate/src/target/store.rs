//! A Mnemon store as a target.

use std::collections::HashMap;
use std::ops::ControlFlow;

use mnemon_store::qdrant::NewCollection;
use mnemon_store::{
    Change, ChangeSet, Entity, ExportRecord, Filter, MemoryId, Record, Sparse, SparseQuery, Store, StoreError,
    StoredMemory, View, run_search,
};

use super::interface::Target;
use crate::error::Result;
use crate::progress::Progress;
use crate::source::{Source, StoreSource};

/// A Mnemon store, owned or borrowed. The store builds its entities itself.
pub struct StoreTarget<'s> {
    store: OwnedOrBorrowed<'s>,
}

enum OwnedOrBorrowed<'s> {
    Owned(Box<dyn Store>),
    Borrowed(&'s dyn Store),
}

impl std::fmt::Debug for StoreTarget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreTarget").finish_non_exhaustive()
    }
}

impl<'s> StoreTarget<'s> {
    /// Borrows a store as a target.
    pub fn new(store: &'s dyn Store) -> Self {
        Self { store: OwnedOrBorrowed::Borrowed(store) }
    }

    fn store(&self) -> &dyn Store {
        match &self.store {
            OwnedOrBorrowed::Owned(store) => &**store,
            OwnedOrBorrowed::Borrowed(store) => *store,
        }
    }
}

impl StoreTarget<'static> {
    /// Takes a store as a target.
    pub fn owned(store: Box<dyn Store>) -> Self {
        Self { store: OwnedOrBorrowed::Owned(store) }
    }
}

impl Target for StoreTarget<'_> {
    fn location(&self) -> String {
        self.store().info().map_or_else(|_| "a store".to_owned(), |info| info.location)
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

    fn check(&self, _dims: usize) -> Result<()> {
        Ok(())
    }

    fn prepare(&self, _dims: usize, _new: &NewCollection) -> Result<()> {
        Ok(())
    }

    fn approximate_count(&self) -> Result<Option<u64>> {
        self.count().map(Some)
    }

    fn count(&self) -> Result<u64> {
        Ok(self.store().info()?.memories as u64)
    }

    fn entity_count(&self) -> Result<u64> {
        Ok(self.store().info()?.entities as u64)
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        let ids: Vec<MemoryId> = records.iter().map(|record| record.memory.id).collect();
        let existing = self.store().get(&ids)?;
        let change = |(record, existing): (Record, Option<_>)| match existing {
            Some(_) => Change::Replace(Box::new(record)),
            None => Change::Insert(Box::new(record)),
        };
        let changes = records.into_iter().zip(existing).map(change).collect();
        Ok(self.store().apply(&ChangeSet { expected: Vec::new(), changes })?)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        for id in ids {
            let changes = vec![Change::Remove(*id)];
            match self.store().apply(&ChangeSet { expected: Vec::new(), changes }) {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn put_entities(&self, _entities: &[Entity]) -> Result<()> {
        Ok(())
    }

    fn remove_entities(&self, _ids: &[MemoryId]) -> Result<()> {
        Ok(())
    }

    fn entities(&self, _ids: &[MemoryId]) -> Result<HashMap<MemoryId, Entity>> {
        Ok(HashMap::new())
    }

    fn visit_entities(&self, visit: &mut dyn FnMut(Entity)) -> Result<()> {
        Ok(self.store().visit(&mut |record| {
            match record {
                ExportRecord::Entity(entity) => visit(*entity),
                // These follow the entities.
                ExportRecord::Link(_) | ExportRecord::History(_) | ExportRecord::Message(_) => {
                    return ControlFlow::Break(());
                }
                ExportRecord::Memory(_) => {}
            }
            ControlFlow::Continue(())
        })?)
    }

    fn record_without_entities(&self, without: bool) -> Result<()> {
        Ok(self.store().record_without_entities(without)?)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        let found = self.store().get_stored(ids)?;
        Ok(found.into_iter().flatten().map(|stored| (stored.memory.id, stored)).collect())
    }

    fn first_by_bm25(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        let filter = Filter::eq("user_id", user).map_err(StoreError::from)?;
        let query = SparseQuery { vector, limit: 1 };
        let found = run_search(self.store(), View::new(&filter, None), |reads| reads.sparse(&query))?;
        Ok(found.first().map(|(id, _)| *id))
    }

    fn missing_indexes(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn start_indexing(&self) -> Result<()> {
        Ok(())
    }

    fn wait_for_index(&self, _progress: &Progress<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn as_source(&self) -> Result<Box<dyn Source + '_>> {
        Ok(Box::new(StoreSource::new(self.store())?))
    }
}
