//! What every source offers.

use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::MemoryId;

use crate::error::Result;

/// A description of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceInfo {
    /// Where the source is, for messages.
    pub location: String,
    /// Length of the dense vectors.
    pub dims: usize,
    /// The number of points that the source reports.
    pub points: u64,
    /// The number of shards.
    pub shards: usize,
    /// Whether points have the `bm25` slot of mem0 v2.
    pub has_bm25: bool,
    /// Payload keys with an index.
    pub indexed: Vec<String>,
}

/// Points that a migration reads.
pub trait Source: Sync {
    /// The description of the source.
    fn info(&self) -> &SourceInfo;

    /// Calls `visit` with all points, page by page, until it returns `Break`. Points are sorted by id within a shard.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if a page can't be read, or if a point has no dense vector of the collection's length.
    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()>;

    /// Those of the ids that the source does not have.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if the source can't be read.
    fn missing(&self, ids: &[MemoryId]) -> Result<Vec<MemoryId>>;
}
