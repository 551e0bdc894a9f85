//! What every target offers.

use std::collections::HashMap;

use mnemon_store::qdrant::NewCollection;
use mnemon_store::{Entity, MemoryId, Record, Sparse, StoredMemory};

use crate::error::Result;
use crate::progress::Progress;
use crate::source::Source;

/// A store that memories are written to. All writes are idempotent.
pub trait Target: Sync {
    /// Where the target is, for messages.
    fn location(&self) -> String;

    /// How many writes it handles at the same time.
    fn concurrency(&self) -> usize;

    /// The number of memories in one write that it handles best.
    fn batch_size(&self) -> usize;

    /// Whether it builds the entities itself from the embedded mentions of the records. If not, entities are written
    /// with [`Target::put_entities`] after the memories.
    fn builds_entities(&self) -> bool;

    /// Checks whether an existing target fits, and changes nothing.
    ///
    /// # Errors
    /// [`crate::MigrateError::Refused`] if a collection exists that does not fit; [`crate::MigrateError::Store`].
    fn check(&self, dims: usize) -> Result<()>;

    /// Creates the missing parts: the collection, its `bm25` slot, its payload indexes, the collection of entities.
    ///
    /// # Errors
    /// [`crate::MigrateError::Refused`] if a collection exists that does not fit; [`crate::MigrateError::Store`].
    fn prepare(&self, dims: usize, new: &NewCollection) -> Result<()>;

    /// The number of memories, which may be approximate; `None` if the collection does not exist.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn approximate_count(&self) -> Result<Option<u64>>;

    /// The exact number of memories.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn count(&self) -> Result<u64>;

    /// The number of entities.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn entity_count(&self) -> Result<u64>;

    /// Writes memories and replaces those with the same ids. The memories are durable when it returns.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`]; some of the memories may have been written.
    fn write(&self, records: Vec<Record>) -> Result<()>;

    /// Removes memories. Ids that do not exist are ignored.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn remove(&self, ids: &[MemoryId]) -> Result<()>;

    /// Writes entities and replaces those with the same ids. Only for targets that do not build entities themselves.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn put_entities(&self, entities: &[Entity]) -> Result<()>;

    /// Removes entities. Only for targets that do not build entities themselves.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn remove_entities(&self, ids: &[MemoryId]) -> Result<()>;

    /// Entities by id. Empty for a target that builds its entities itself.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn entities(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Entity>>;

    /// Calls `visit` with all entities.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn visit_entities(&self, visit: &mut dyn FnMut(Entity)) -> Result<()>;

    /// Records in the target that its memories have no entities, or that they have them.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn record_without_entities(&self, without: bool) -> Result<()>;

    /// Memories with their vectors, by id.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>>;

    /// The first memory of a user that a search by the sparse vector alone returns.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn first_by_bm25(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>>;

    /// Payload keys without the index that search needs.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn missing_indexes(&self) -> Result<Vec<String>>;

    /// Starts to build the index of the vectors, in the background. Called after most points have been written.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn start_indexing(&self) -> Result<()>;

    /// Waits until the index of the vectors is complete, if the target is a new collection without other writers.
    /// Returns the reason if the index can't be built.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`].
    fn wait_for_index(&self, progress: &Progress<'_>) -> Result<Option<String>>;

    /// The target as a source, for the rollback.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if it can't be read.
    fn as_source(&self) -> Result<Box<dyn Source + '_>>;
}
