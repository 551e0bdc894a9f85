//! A collection of a running Qdrant as a source. Clients may write to it during the migration.

use std::ops::ControlFlow;
use std::sync::Arc;

use mnemon_engine::ForeignPoint;
use mnemon_store::qdrant::{CollectionInfo, QdrantServer};
use mnemon_store::{MemoryId, StoredMemory};

use super::interface::{Source, SourceInfo};
use crate::error::{MigrateError, Result};

/// The number of points in a page.
const PAGE: usize = 500;

/// A Qdrant collection.
#[derive(Debug)]
pub struct Collection {
    server: Arc<QdrantServer>,
    name: String,
    info: SourceInfo,
}

impl Collection {
    /// Opens a collection by its name or an alias.
    ///
    /// # Errors
    /// [`MigrateError::NoSource`] if the collection does not exist; [`MigrateError::Invalid`] if mem0 did not create it;
    /// [`MigrateError::Store`] if the server does not answer.
    pub fn open(server: Arc<QdrantServer>, name: &str) -> Result<Self> {
        let Some(described) = server.describe(name)? else {
            return Err(MigrateError::NoSource { name: name.to_owned(), server: server.location() });
        };
        let dims = check_collection(&described)?;
        let info = SourceInfo {
            location: format!("{}/{}", server.location(), described.name),
            dims,
            points: described.points,
            shards: described.shards as usize,
            has_bm25: described.has_bm25,
            indexed: described.indexed,
        };
        Ok(Self { server, name: described.name, info })
    }

    /// The name of the collection, even if it was opened by an alias.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The dims of the collection. Refuses a collection that mem0 can't have created.
fn check_collection(described: &CollectionInfo) -> Result<usize> {
    let CollectionInfo { name, dims, distance, .. } = described;
    let Some(dims) = *dims else {
        return Err(MigrateError::Invalid(format!(
            "collection `{name}` has no unnamed dense vector: mem0 did not create it"
        )));
    };
    if distance != "Cosine" {
        let message = format!("collection `{name}` has {distance} distance, but mem0 uses Cosine");
        return Err(MigrateError::Invalid(message));
    }
    Ok(dims)
}

impl Source for Collection {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        let mut from = None;
        loop {
            let (points, next) = self.server.page(&self.name, from, PAGE)?;
            let page = points.into_iter().map(to_foreign_point).collect::<Vec<_>>();
            if visit(page).is_break() || next.is_none() {
                return Ok(());
            }
            from = next;
        }
    }

    fn missing(&self, ids: &[MemoryId]) -> Result<Vec<MemoryId>> {
        let found = self.server.get(&self.name, ids)?;
        Ok(ids.iter().filter(|id| !found.contains_key(id)).copied().collect())
    }
}

pub(super) fn to_foreign_point(stored: StoredMemory) -> ForeignPoint {
    ForeignPoint { id: stored.memory.id, payload: stored.memory.payload, vector: stored.vector }
}
