//! A Mnemon store as a source, for the rollback.

use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::{ExportRecord, MemoryId, Store};

use super::collection::to_foreign_point;
use super::interface::{Source, SourceInfo};
use crate::error::Result;

/// The number of points in a page.
const PAGE: usize = 500;

/// All memories of a store, of all owners.
pub struct StoreSource<'s> {
    store: &'s dyn Store,
    info: SourceInfo,
}

impl std::fmt::Debug for StoreSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSource").field("info", &self.info).finish_non_exhaustive()
    }
}

impl<'s> StoreSource<'s> {
    /// Borrows a store as a source.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`] if the store can't be read.
    pub fn new(store: &'s dyn Store) -> Result<Self> {
        let info = store.info()?;
        let info = SourceInfo {
            location: info.location,
            dims: info.dims,
            points: info.memories as u64,
            shards: 1,
            has_bm25: true,
            indexed: Vec::new(),
        };
        Ok(Self { store, info })
    }
}

impl Source for StoreSource<'_> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        let mut page = Vec::with_capacity(PAGE);
        let mut flow = ControlFlow::Continue(());
        self.store.visit(&mut |piece| {
            if let ExportRecord::Memory(stored) = piece {
                page.push(to_foreign_point(*stored));
                if page.len() == PAGE {
                    flow = visit(std::mem::take(&mut page));
                }
            }
            flow
        })?;
        if flow.is_continue() && !page.is_empty() {
            let _ = visit(page);
        }
        Ok(())
    }

    fn missing(&self, ids: &[MemoryId]) -> Result<Vec<MemoryId>> {
        let found = self.store.get(ids)?;
        Ok(ids.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(id, _)| *id).collect())
    }
}
