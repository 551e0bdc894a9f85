//! Writes entities to a target that does not build them itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use mnemon_engine::embed_entities;
use mnemon_models::Embedder;
use mnemon_store::{Entity, MemoryId};
use parking_lot::Mutex;

use crate::carried::{CarriedPoints, EntitiesOf};
use crate::error::{Result, worker_panicked};
use crate::target::Target;

/// The number of entities in a page.
const PAGE: usize = 500;
/// The number of pages that are written at the same time.
const MAX_CONCURRENT_PAGES: usize = 4;

/// Writes the entities that changed, several pages at a time, and returns how many they are. `progress` gets the number
/// of entities written so far.
///
/// # Errors
/// [`crate::MigrateError`] of the embedder or the target; another call writes the rest.
pub fn write_entities(
    carried: &CarriedPoints,
    embedder: &dyn Embedder,
    target: &dyn Target,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<usize> {
    let pages = Mutex::new(PageCursor::default());
    let written = AtomicUsize::new(0);
    let write_pages = || -> Result<()> {
        loop {
            let next = pages.lock().next(carried)?;
            let Some(mut page) = next else { return Ok(()) };
            let recorded = page.clone();
            add_other_links(&mut page, carried, target)?;
            // The entities are sorted by name, so most duplicates of a name are in the same page.
            embed_entities(page.iter_mut().filter(|entity| !entity.memories.is_empty()), embedder)?;
            let (used, unused): (Vec<_>, Vec<_>) = page.iter().cloned().partition(|entity| !entity.memories.is_empty());
            if !used.is_empty() {
                target.put_entities(&used)?;
            }
            if !unused.is_empty() {
                target.remove_entities(&unused.iter().map(|entity| entity.id).collect::<Vec<MemoryId>>())?;
            }
            carried.mark_entities_written(&recorded)?;
            progress(written.fetch_add(page.len(), Ordering::Relaxed) + page.len());
        }
    };
    // After an error the other workers stop, too.
    let work = || write_pages().inspect_err(|_| pages.lock().finished = true);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..MAX_CONCURRENT_PAGES).map(|_| threads.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(worker_panicked)?)
    })?;
    Ok(written.into_inner())
}

/// Adds the links to memories whose entities only the target knows, so that they are not lost when an entity is replaced.
fn add_other_links(page: &mut [Entity], carried: &CarriedPoints, target: &dyn Target) -> Result<()> {
    let ids: Vec<MemoryId> = page.iter().map(|entity| entity.id).collect();
    let mut existing = target.entities(&ids)?;
    for entity in page {
        let Some(existing) = existing.remove(&entity.id) else { continue };
        entity.memories.extend(carried.with_entities(EntitiesOf::Target, &existing.memories)?);
        entity.memories.sort_unstable();
        entity.memories.dedup();
    }
    Ok(())
}

/// The pages of the entities to write.
#[derive(Default)]
struct PageCursor {
    last: Option<Entity>,
    finished: bool,
}

impl PageCursor {
    fn next(&mut self, carried: &CarriedPoints) -> Result<Option<Vec<Entity>>> {
        if self.finished {
            return Ok(None);
        }
        let page = carried.changed_entities(self.last.as_ref(), PAGE)?;
        self.last = page.last().cloned();
        self.finished = page.is_empty();
        Ok(if self.finished { None } else { Some(page) })
    }
}
