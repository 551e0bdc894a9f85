//! The entities of a target that does not join them by itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use mnemon_models::Embedder;
use mnemon_store::{Entity, MemoryId};
use parking_lot::Mutex;

use crate::carried::CarriedPoints;
use crate::error::{Result, worker_panicked};

/// Entities of one page.
const PAGE: usize = 500;
/// Pages that are written at the same time.
const MAX_CONCURRENT_PAGES: usize = 4;

/// Writes the entities that changed to a target that does not join them by itself, some pages at a time; returns how many.
///
/// # Errors
/// [`MigrateError`] of the embedder or the target; a second call goes on.
pub fn write_entities(
    base: &CarriedPoints,
    embedder: &dyn Embedder,
    write: &(dyn Fn(&[Entity]) -> Result<()> + Sync),
    remove: &(dyn Fn(&[MemoryId]) -> Result<()> + Sync),
    progress: &(dyn Fn(usize) + Sync),
) -> Result<usize> {
    let pages = Mutex::new(PageCursor::default());
    let written = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let next = pages.lock().next(base)?;
            let Some(mut page) = next else { return Ok(()) };
            embed_names(&mut page, embedder)?;
            let (used, unused): (Vec<_>, Vec<_>) = page.iter().cloned().partition(|entity| !entity.memories.is_empty());
            if !used.is_empty() {
                write(&used)?;
            }
            if !unused.is_empty() {
                remove(&unused.iter().map(|entity| entity.id).collect::<Vec<_>>())?;
            }
            base.mark_entities_written(&page)?;
            progress(written.fetch_add(page.len(), Ordering::Relaxed) + page.len());
        }
    };
    let work = || work().inspect_err(|_| pages.lock().finished = true);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..MAX_CONCURRENT_PAGES).map(|_| threads.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(worker_panicked)?)
    })?;
    Ok(written.into_inner())
}

/// The entities that must be written, page by page.
#[derive(Default)]
struct PageCursor {
    last: Option<Entity>,
    finished: bool,
}

impl PageCursor {
    fn next(&mut self, base: &CarriedPoints) -> Result<Option<Vec<Entity>>> {
        if self.finished {
            return Ok(None);
        }
        let page = base.changed_entities(self.last.as_ref(), PAGE)?;
        self.last = page.last().cloned();
        self.finished = page.is_empty();
        Ok((!self.finished).then_some(page))
    }
}

/// Embeds the names of entities that are to stay, each once. They come by name, so the same ones are neighbours.
fn embed_names(page: &mut [Entity], embedder: &dyn Embedder) -> Result<()> {
    let used = || page.iter().filter(|entity| !entity.memories.is_empty());
    let names: BTreeSet<String> = used().map(|entity| entity.text().to_owned()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let given: Vec<&str> = names.iter().map(String::as_str).collect();
    let embedded = embedder.embed(&given).map_err(mnemon_engine::EngineError::from)?;
    let vectors: HashMap<&str, Vec<f32>> = given.into_iter().zip(embedded).collect();
    for entity in page {
        if let Some(vector) = vectors.get(entity.text()) {
            entity.vector.clone_from(vector);
        }
    }
    Ok(())
}
