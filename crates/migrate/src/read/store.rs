//! A store of our own as a source: for the way back.

use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::{ExportRecord, MemoryId, Store};

use super::collection::foreign;
use super::{Source, SourceInfo};
use crate::Result;

/// Points of one page.
const PAGE: usize = 500;

/// All memories of a store, whoever owns them.
pub struct StoreSource<'s> {
    store: &'s dyn Store,
    about: SourceInfo,
}

impl std::fmt::Debug for StoreSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSource").field("about", &self.about).finish_non_exhaustive()
    }
}

impl<'s> StoreSource<'s> {
    /// Takes a store as a source.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`] where it can't be read.
    pub fn new(store: &'s dyn Store) -> Result<Self> {
        let info = store.info()?;
        let about = SourceInfo {
            place: info.location,
            dims: info.dims,
            points: info.memories as u64,
            shards: 1,
            has_bm25: true,
            indexed: Vec::new(),
        };
        Ok(Self { store, about })
    }
}

impl Source for StoreSource<'_> {
    fn about(&self) -> &SourceInfo {
        &self.about
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        let mut page = Vec::with_capacity(PAGE);
        let mut flow = ControlFlow::Continue(());
        self.store.visit(&mut |piece| {
            if let ExportRecord::Memory(stored) = piece {
                page.push(foreign(*stored));
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
        let there = self.store.get(ids)?;
        Ok(ids.iter().zip(there).filter(|(_, there)| there.is_none()).map(|(id, _)| *id).collect())
    }
}
