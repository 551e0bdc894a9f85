//! Where memories go to.

use std::collections::HashMap;
use std::sync::Arc;

use mnemon_store::qdrant::Server;
use mnemon_store::{
    Change, ChangeSet, Filter, MemoryId, Record, Sparse, SparseQuery, Store, StoreError, StoredMemory, View,
};

use crate::Result;

/// A place that memories are carried to. Writing twice is writing once.
pub trait Target: Sync {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// Requests that it takes at the same time.
    fn at_once(&self) -> usize;

    /// Memories that it takes best in one write, where so many wait.
    fn batch(&self) -> usize;

    /// Whether it joins entities by itself, from records whose mentions are embedded; else they are put beside the memories
    /// afterwards.
    fn joins_entities(&self) -> bool;

    /// Writes memories in place of those of their ids; returns when they are safe.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`]; then none or some are written.
    fn write(&self, records: Vec<Record>) -> Result<()>;

    /// Removes memories; those that are not there are no error.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn remove(&self, ids: &[MemoryId]) -> Result<()>;

    /// Memories with their vectors, by id.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>>;

    /// How many memories there are, counted.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn count(&self) -> Result<u64>;

    /// The first memory of a user's that a sparse vector alone finds.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>>;

    /// Payload keys that lack the index that search needs.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn lacks_indexes(&self) -> Result<Vec<String>>;
}

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
    fn place(&self) -> String {
        self.store.info().map_or_else(|_| "a store".to_owned(), |info| info.location)
    }

    fn at_once(&self) -> usize {
        1
    }

    fn batch(&self) -> usize {
        2000
    }

    fn joins_entities(&self) -> bool {
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

    fn lacks_indexes(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// How a collection is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFormat {
    /// As mem0 v2 writes it, whole points.
    Whole,
    /// The points stay; lemmas and sparse vectors are added.
    Added,
    /// As mem0 before v2 wrote it: without lemmas and sparse vector.
    Legacy,
}

/// A collection of Qdrant.
#[derive(Debug)]
pub struct CollectionTarget {
    server: Arc<Server>,
    name: String,
    shape: PointFormat,
}

impl CollectionTarget {
    /// Takes a collection, which must be there, as a target.
    pub fn new(server: Arc<Server>, name: impl Into<String>, shape: PointFormat) -> Self {
        Self { server, name: name.into(), shape }
    }

    /// Adds to points that others may delete at the same time: Qdrant refuses the whole request then.
    fn annotate(&self, mut additions: Vec<(MemoryId, String, Sparse)>) -> Result<()> {
        while !additions.is_empty() {
            let Err(error) = self.server.annotate(&self.name, &additions) else { return Ok(()) };
            let ids: Vec<MemoryId> = additions.iter().map(|(id, ..)| *id).collect();
            let there = self.server.get(&self.name, &ids)?;
            if there.len() == ids.len() {
                return Err(error.into());
            }
            additions.retain(|(id, ..)| there.contains_key(id));
        }
        Ok(())
    }
}

impl Target for CollectionTarget {
    fn place(&self) -> String {
        format!("{}/{}", self.server.location(), self.name)
    }

    fn at_once(&self) -> usize {
        3
    }

    fn batch(&self) -> usize {
        500
    }

    fn joins_entities(&self) -> bool {
        false
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        if self.shape == PointFormat::Added {
            let addition = |record: Record| {
                let lemmas =
                    record.memory.payload.str(mnemon_store::keys::TEXT_LEMMATIZED).unwrap_or_default().to_owned();
                (record.memory.id, lemmas, record.bm25)
            };
            // A point without words gets nothing.
            let additions = records.into_iter().filter(|record| !record.memory.payload.text().is_empty()).map(addition);
            return self.annotate(additions.collect());
        }
        let stored = |mut record: Record| {
            if self.shape == PointFormat::Legacy {
                record.memory.payload.remove(mnemon_store::keys::TEXT_LEMMATIZED);
            }
            StoredMemory { memory: record.memory, vector: record.vector, bm25: record.bm25 }
        };
        let points: Vec<StoredMemory> = records.into_iter().map(stored).collect();
        Ok(self.server.put(&self.name, &points, self.shape == PointFormat::Whole)?)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(self.server.remove(&self.name, ids)?)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        Ok(self.server.get(&self.name, ids)?)
    }

    fn count(&self) -> Result<u64> {
        Ok(self.server.count(&self.name)?)
    }

    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        Ok(self.server.first_by_words(&self.name, user, vector)?)
    }

    fn lacks_indexes(&self) -> Result<Vec<String>> {
        let indexed = self.server.describe(&self.name)?.map(|described| described.indexed).unwrap_or_default();
        let lacking = ["user_id", "agent_id", "run_id", "actor_id", "created_at"].into_iter().map(str::to_owned);
        Ok(lacking.filter(|key| self.shape != PointFormat::Legacy && !indexed.contains(key)).collect())
    }
}
