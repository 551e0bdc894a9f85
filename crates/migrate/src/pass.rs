//! A pass over the source: what is new or changed since the last one is carried over, what is gone is removed.
//!
//! Reading, enriching and writing go on at the same time, a few pages on their way. What was carried over is noted after it
//! is safe, so a pass that was killed is followed by one that does the rest, and the second pass is what catches the writes
//! that went on during the first.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mnemon_engine::{ForeignPoint, embed_mentions, enrich};
use mnemon_models::Embedder;
use mnemon_store::{Entity, MemoryId, Record, keys};
use parking_lot::Mutex;

use crate::base::{CarriedPoints, Digest, digests};
use crate::read::Source;
use crate::remember::Remembering;
use crate::target::Target;
use crate::{MigrateError, Result};

/// Pages between two steps.
const ON_THEIR_WAY: usize = 4;
/// So many removals are never too many.
const FEW: u64 = 20;
/// Ids that are looked for at once.
const AT_ONCE: usize = 500;

/// How to go.
#[derive(Clone, Copy, Default)]
pub struct SyncOptions<'e> {
    /// Embeds entities: of the kind that made the vectors. Without one there are no entities.
    pub embedder: Option<&'e dyn Embedder>,
    /// Points a second at most.
    pub rate: Option<u32>,
    /// Writes what is noted as carried over, too.
    pub again: bool,
    /// Removes from the target what is gone from the source, however much that is; else not most of it.
    pub removals: bool,
}

impl std::fmt::Debug for SyncOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncOptions").field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncReport {
    /// Points of the source.
    pub seen: usize,
    /// Of them, those that were new.
    pub added: usize,
    /// Those that were carried over before, and differ now.
    pub changed: usize,
    /// Those that were carried over before, and are gone from the source.
    pub removed: usize,
    /// How long it took.
    pub took: Duration,
    /// How long each step worked; they work at the same time, writing several at once.
    pub busy: [(&'static str, Duration); 3],
}

impl SyncReport {
    /// Whether there was nothing to do.
    pub fn is_idle(&self) -> bool {
        self.added + self.changed + self.removed == 0
    }
}

/// What is to be written, and noted then.
struct Batch {
    records: Vec<Record>,
    digests: Vec<(MemoryId, Digest)>,
    seen: usize,
    changed: usize,
}

/// Brings a target up to its source. `progress` is told how many points are done.
///
/// # Errors
/// [`MigrateError`] of the source, the embedder or the target; what was written until then stays, and another pass goes on.
/// [`MigrateError::Refused`] where most of it is gone from the source.
pub fn sync(
    source: &dyn Source,
    target: &dyn Target,
    base: &CarriedPoints,
    options: SyncOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<SyncReport> {
    let begun = Instant::now();
    let (read, enriched) = (sync_channel(ON_THEIR_WAY), sync_channel(ON_THEIR_WAY));
    let done = AtomicUsize::new(0);
    let noting = Mutex::new(());
    let (reading, enriching, writing) = std::thread::scope(|threads| {
        let (to_enrich, from_read) = read;
        let (to_write, from_enrich) = enriched;
        let from_enrich = std::sync::Arc::new(Mutex::new(from_enrich));
        let reading = threads.spawn(move || read_all(source, &to_enrich));
        let enriching = threads.spawn(move || enrich_all(&from_read, target, base, options, &to_write));
        let write = |from: std::sync::Arc<Mutex<Receiver<Batch>>>| {
            let (done, noting) = (&done, &noting);
            move || write_all(&from, target, base, done, noting, options, progress, begun)
        };
        let writing: Vec<_> = (0..target.at_once()).map(|_| threads.spawn(write(from_enrich.clone()))).collect();
        // Who still reads stops when nobody takes any more.
        drop(from_enrich);
        let writing: Vec<_> = writing.into_iter().map(|thread| thread.join()).collect();
        (reading.join(), enriching.join(), writing)
    });
    let mut passed = SyncReport::default();
    let mut write = Duration::ZERO;
    for written in writing {
        let written = written.map_err(ended)??;
        passed.seen += written.seen;
        passed.added += written.added;
        passed.changed += written.changed;
        write += written.took;
    }
    let enrich = enriching.map_err(ended)??;
    let read = reading.map_err(ended)??;
    if !options.removals {
        not_most(source, base, passed.seen)?;
    }
    passed.removed = remove_gone(source, target, base, passed.seen)?;
    passed.busy = [("read", read), ("enrich", enrich), ("write", write)];
    passed.took = begun.elapsed();
    Ok(passed)
}

fn read_all(source: &dyn Source, to: &SyncSender<Vec<ForeignPoint>>) -> Result<Duration> {
    let mut busy = Duration::ZERO;
    let mut since = Instant::now();
    source.scan(&mut |page| {
        busy += since.elapsed();
        let sent = to.send(page);
        since = Instant::now();
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(busy)
}

fn enrich_all(
    from: &Receiver<Vec<ForeignPoint>>,
    target: &dyn Target,
    base: &CarriedPoints,
    options: SyncOptions<'_>,
    to: &SyncSender<Batch>,
) -> Result<Duration> {
    let mut busy = Duration::ZERO;
    let embedder = options.embedder.map(Remembering::new);
    for mut page in from {
        let since = Instant::now();
        let seen = page.len();
        let mut now = digests(&page);
        let before = base.get(&now.keys().copied().collect::<Vec<_>>())?;
        now.retain(|id, digest| options.again || before.get(id) != Some(digest));
        page.retain(|point| now.contains_key(&point.id));
        for point in page.iter_mut().filter(|point| before.contains_key(&point.id)) {
            // Lemmas that an earlier pass added are those of another text.
            point.payload.remove(keys::TEXT_LEMMATIZED);
        }
        let mut records = enrich(page);
        match &embedder {
            Some(embedder) if target.joins_entities() => embed_mentions(&mut records, Some(embedder))?,
            Some(_) => {}
            None => embed_mentions(&mut records, None)?,
        }
        let changed = before.keys().filter(|id| now.contains_key(id)).count();
        busy += since.elapsed();
        if to.send(Batch { records, digests: now.into_iter().collect(), seen, changed }).is_err() {
            break;
        }
    }
    Ok(busy)
}

/// What one writer did.
#[derive(Default)]
struct Written {
    seen: usize,
    added: usize,
    changed: usize,
    took: Duration,
}

#[expect(clippy::too_many_arguments, reason = "all that a thread of its own works with")]
fn write_all(
    from: &Mutex<Receiver<Batch>>,
    target: &dyn Target,
    base: &CarriedPoints,
    done: &AtomicUsize,
    noting: &Mutex<()>,
    options: SyncOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
    begun: Instant,
) -> Result<Written> {
    let mut written = Written::default();
    loop {
        let next = from.lock().recv();
        let Ok(mut batch) = next else { return Ok(written) };
        while batch.records.len() < target.batch() {
            let Ok(more) = from.lock().try_recv() else { break };
            batch.records.extend(more.records);
            batch.digests.extend(more.digests);
            batch.seen += more.seen;
            batch.changed += more.changed;
        }
        let since = Instant::now();
        let new = batch.digests.len() - batch.changed;
        if !batch.digests.is_empty() {
            let gathered = !target.joins_entities() && options.embedder.is_some();
            let named = if gathered { batch.records.clone() } else { Vec::new() };
            target.write(batch.records)?;
            let _one_at_a_time = noting.lock();
            base.carried(&batch.digests, &named, gathered)?;
        }
        written.seen += batch.seen;
        written.added += new;
        written.changed += batch.changed;
        written.took += since.elapsed();
        let so_far = done.fetch_add(batch.seen, Ordering::Relaxed) + batch.seen;
        progress(so_far);
        if let Some(rate) = options.rate.filter(|rate| *rate > 0) {
            let due = Duration::from_secs_f64(so_far as f64 / f64::from(rate));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
}

/// Refuses to remove most of what was carried over: a source that was emptied by mistake would empty the target.
fn not_most(source: &dyn Source, base: &CarriedPoints, seen: usize) -> Result<()> {
    // All that was seen is noted, so the rest is gone.
    let (carried, seen) = (base.count()?, seen as u64);
    let gone = carried.saturating_sub(seen);
    if gone <= FEW || gone * 2 <= carried {
        return Ok(());
    }
    Err(MigrateError::Refused(format!(
        "{gone} of {carried} memories that were carried over are gone from {}: look there first; if they were deleted on \
         purpose, call it again with --allow-removals",
        source.about().place
    )))
}

/// Removes what was carried over once and is not in the source any more.
fn remove_gone(source: &dyn Source, target: &dyn Target, base: &CarriedPoints, seen: usize) -> Result<usize> {
    // All that was seen is noted: where there is no more than that, nothing is gone.
    if base.count()? == seen as u64 {
        return Ok(0);
    }
    let mut removed = 0;
    let mut after = None;
    loop {
        let page: Vec<MemoryId> = base.page(after, AT_ONCE)?.into_iter().map(|(id, _)| id).collect();
        after = page.last().copied();
        if after.is_none() {
            return Ok(removed);
        }
        let gone = source.missing(&page)?;
        if !gone.is_empty() {
            target.remove(&gone)?;
            base.removed(&gone)?;
            removed += gone.len();
        }
    }
}

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
    let pages = Mutex::new(Pages::default());
    let written = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let next = pages.lock().next(base)?;
            let Some(mut page) = next else { return Ok(()) };
            embed_names(&mut page, embedder)?;
            let (kept, gone): (Vec<_>, Vec<_>) = page.iter().cloned().partition(|entity| !entity.memories.is_empty());
            if !kept.is_empty() {
                write(&kept)?;
            }
            if !gone.is_empty() {
                remove(&gone.iter().map(|entity| entity.id).collect::<Vec<_>>())?;
            }
            base.names_written(&page)?;
            progress(written.fetch_add(page.len(), Ordering::Relaxed) + page.len());
        }
    };
    let work = || work().inspect_err(|_| pages.lock().ended = true);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..ON_THEIR_WAY).map(|_| threads.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(ended)?)
    })?;
    Ok(written.into_inner())
}

/// The entities that must be written, page by page.
#[derive(Default)]
struct Pages {
    last: Option<Entity>,
    ended: bool,
}

impl Pages {
    fn next(&mut self, base: &CarriedPoints) -> Result<Option<Vec<Entity>>> {
        if self.ended {
            return Ok(None);
        }
        let page = base.changed_names(self.last.as_ref(), AT_ONCE)?;
        self.last = page.last().cloned();
        self.ended = page.is_empty();
        Ok((!self.ended).then_some(page))
    }
}

/// Embeds the names of entities that are to stay, each once. They come by name, so the same ones are neighbours.
fn embed_names(page: &mut [Entity], embedder: &dyn Embedder) -> Result<()> {
    let staying = || page.iter().filter(|entity| !entity.memories.is_empty());
    let names: BTreeSet<String> = staying().map(|entity| entity.text().to_owned()).collect();
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

fn ended(_: Box<dyn std::any::Any + Send>) -> MigrateError {
    MigrateError::Unfit("a step of the copy ended of itself: run it again, and report it".into())
}
