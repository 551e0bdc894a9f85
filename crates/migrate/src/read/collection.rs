//! A collection on a running Qdrant, which may be written to meanwhile.

use std::ops::ControlFlow;
use std::sync::Arc;

use mnemon_engine::ForeignPoint;
use mnemon_store::qdrant::{CollectionInfo, Server};
use mnemon_store::{MemoryId, StoredMemory};

use super::{Source, SourceInfo};
use crate::{MigrateError, Result};

/// Points of one page.
const PAGE: usize = 500;

/// A collection that is read point by point.
#[derive(Debug)]
pub struct Collection {
    server: Arc<Server>,
    name: String,
    about: SourceInfo,
}

impl Collection {
    /// Looks at a collection, by its name or an alias.
    ///
    /// # Errors
    /// [`MigrateError::Unfit`] where there is none, or one that mem0 did not make; [`MigrateError::Store`] of the connection.
    pub fn open(server: Arc<Server>, name: &str) -> Result<Self> {
        let Some(described) = server.describe(name)? else {
            let message = format!(
                "there is no collection `{name}` at {}: give the one that mem0 writes to (--source, QDRANT_COLLECTION_NAME)",
                server.location()
            );
            return Err(MigrateError::Unfit(message));
        };
        let dims = fit(&described)?;
        let about = SourceInfo {
            place: format!("{}/{}", server.location(), described.name),
            dims,
            points: described.points,
            shards: described.shards as usize,
            has_bm25: described.has_bm25,
            indexed: described.indexed,
        };
        Ok(Self { server, name: described.name, about })
    }

    /// Its name; not the alias it was asked by.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The dims of a collection as mem0 makes them.
fn fit(described: &CollectionInfo) -> Result<usize> {
    let CollectionInfo { name, dims, distance, .. } = described;
    let Some(dims) = *dims else {
        return Err(MigrateError::Unfit(format!(
            "collection `{name}` has no unnamed dense vector: mem0 did not make it"
        )));
    };
    if distance != "Cosine" {
        let message = format!("collection `{name}` compares vectors by {distance}, not by Cosine as mem0 does");
        return Err(MigrateError::Unfit(message));
    }
    Ok(dims)
}

impl Source for Collection {
    fn about(&self) -> &SourceInfo {
        &self.about
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        let mut from = None;
        loop {
            let (points, next) = self.server.page(&self.name, from, PAGE)?;
            let page = points.into_iter().map(foreign).collect::<Vec<_>>();
            if visit(page).is_break() || next.is_none() {
                return Ok(());
            }
            from = next;
        }
    }

    fn missing(&self, ids: &[MemoryId]) -> Result<Vec<MemoryId>> {
        let there = self.server.get(&self.name, ids)?;
        Ok(ids.iter().filter(|id| !there.contains_key(id)).copied().collect())
    }
}

pub(super) fn foreign(stored: StoredMemory) -> ForeignPoint {
    ForeignPoint { id: stored.memory.id, payload: stored.memory.payload, vector: stored.vector }
}
