//! Where memories come from. A source is only read.

mod collection;
#[cfg(feature = "snapshot")]
mod snapshot;
mod store;

use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::MemoryId;

use crate::Result;

pub use collection::Collection;
#[cfg(feature = "snapshot")]
pub use snapshot::Snapshot;
pub use store::StoreSource;

/// What a source is.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceInfo {
    /// Where it is, for people.
    pub place: String,
    /// Length of the dense vectors.
    pub dims: usize,
    /// How many points it says it has.
    pub points: u64,
    /// Shards it lies in.
    pub shards: usize,
    /// Whether it has the `bm25` slot of mem0 v2.
    pub has_bm25: bool,
    /// Keys of payloads that are indexed.
    pub indexed: Vec<String>,
}

/// A collection as mem0 left it.
pub trait Source: Sync {
    /// What it is.
    fn about(&self) -> &SourceInfo;

    /// Shows all points, page by page, until the visitor breaks off. Each page is in rising order of ids within its shard.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if a page can't be read, or a point has no dense vector of the collection's length.
    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()>;

    /// Which of these points it does not have.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if that can't be found out.
    fn missing(&self, ids: &[MemoryId]) -> Result<Vec<MemoryId>>;
}
