//! What every target offers.

use std::collections::HashMap;

use mnemon_store::{MemoryId, Record, Sparse, StoredMemory};

use crate::error::Result;

/// A place that memories are carried to. Writing twice is writing once.
pub trait Target: Sync {
    /// Where it is, for people.
    fn location(&self) -> String;

    /// Requests that it takes at the same time.
    fn concurrency(&self) -> usize;

    /// Memories that it takes best in one write, where so many wait.
    fn batch_size(&self) -> usize;

    /// Whether it joins entities by itself, from records whose mentions are embedded; else they are put beside the memories
    /// afterwards.
    fn builds_entities(&self) -> bool;

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
    fn missing_indexes(&self) -> Result<Vec<String>>;
}
