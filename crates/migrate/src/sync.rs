//! A pass over the source: what is new or changed since the last one is carried over, what is gone is removed.
//!
//! Reading, enriching and writing go on at the same time, a few pages on their way. What was carried over is noted after it
//! is safe, so a pass that was killed is followed by one that does the rest, and the second pass is what catches the writes
//! that went on during the first.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mnemon_engine::{ForeignPoint, embed_mentions, enrich};
use mnemon_models::Embedder;
use mnemon_store::{MemoryId, Record, keys};
use parking_lot::Mutex;

use crate::carried::{CarriedPoints, Digest, digests};
use crate::embedding_cache::CachedEmbedder;
use crate::error::{MigrateError, Result, worker_panicked};
use crate::source::Source;
use crate::target::Target;

/// Pages between two steps.
const CHANNEL_CAPACITY: usize = 4;
/// So many removals are never too many.
const ALWAYS_ALLOWED_REMOVALS: u64 = 20;
/// Ids that are looked for at once.
const PAGE: usize = 500;

/// How to go.
#[derive(Clone, Copy, Default)]
pub struct SyncOptions<'e> {
    /// Embeds entities: of the kind that made the vectors. Without one there are no entities.
    pub embedder: Option<&'e dyn Embedder>,
    /// Points a second at most.
    pub rate: Option<u32>,
    /// Writes what is noted as carried over, too.
    pub rewrite_all: bool,
    /// Removes from the target what is gone from the source, however much that is; else not most of it.
    pub allow_removals: bool,
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
    let (read, enriched) = (sync_channel(CHANNEL_CAPACITY), sync_channel(CHANNEL_CAPACITY));
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
        let writing: Vec<_> = (0..target.concurrency()).map(|_| threads.spawn(write(from_enrich.clone()))).collect();
        // Who still reads stops when nobody takes any more.
        drop(from_enrich);
        let writing: Vec<_> = writing.into_iter().map(|thread| thread.join()).collect();
        (reading.join(), enriching.join(), writing)
    });
    let mut passed = SyncReport::default();
    let mut write = Duration::ZERO;
    for written in writing {
        let written = written.map_err(worker_panicked)??;
        passed.seen += written.seen;
        passed.added += written.added;
        passed.changed += written.changed;
        write += written.took;
    }
    let enrich = enriching.map_err(worker_panicked)??;
    let read = reading.map_err(worker_panicked)??;
    if !options.allow_removals {
        refuse_mass_removal(source, base, passed.seen)?;
    }
    passed.removed = remove_deleted(source, target, base, passed.seen)?;
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
    let embedder = options.embedder.map(CachedEmbedder::new);
    for mut page in from {
        let since = Instant::now();
        let seen = page.len();
        let mut now = digests(&page);
        let before = base.get(&now.keys().copied().collect::<Vec<_>>())?;
        now.retain(|id, digest| options.rewrite_all || before.get(id) != Some(digest));
        page.retain(|point| now.contains_key(&point.id));
        for point in page.iter_mut().filter(|point| before.contains_key(&point.id)) {
            // Lemmas that an earlier pass added are those of another text.
            point.payload.remove(keys::TEXT_LEMMATIZED);
        }
        let mut records = enrich(page);
        match &embedder {
            Some(embedder) if target.builds_entities() => embed_mentions(&mut records, Some(embedder))?,
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
struct WriterCounts {
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
) -> Result<WriterCounts> {
    let mut written = WriterCounts::default();
    loop {
        let next = from.lock().recv();
        let Ok(mut batch) = next else { return Ok(written) };
        while batch.records.len() < target.batch_size() {
            let Ok(more) = from.lock().try_recv() else { break };
            batch.records.extend(more.records);
            batch.digests.extend(more.digests);
            batch.seen += more.seen;
            batch.changed += more.changed;
        }
        let since = Instant::now();
        let new = batch.digests.len() - batch.changed;
        if !batch.digests.is_empty() {
            let gathered = !target.builds_entities() && options.embedder.is_some();
            let named = if gathered { batch.records.clone() } else { Vec::new() };
            target.write(batch.records)?;
            let _one_at_a_time = noting.lock();
            base.record(&batch.digests, &named, gathered)?;
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
fn refuse_mass_removal(source: &dyn Source, base: &CarriedPoints, seen: usize) -> Result<()> {
    // All that was seen is noted, so the rest is gone.
    let (carried, seen) = (base.count()?, seen as u64);
    let deleted = carried.saturating_sub(seen);
    if deleted <= ALWAYS_ALLOWED_REMOVALS || deleted * 2 <= carried {
        return Ok(());
    }
    Err(MigrateError::Refused(format!(
        "{deleted} of {carried} memories that were carried over are deleted from {}: look there first; if they were deleted on \
         purpose, call it rewrite_all with --allow-allow_removals",
        source.about().place
    )))
}

/// Removes what was carried over once and is not in the source any more.
fn remove_deleted(source: &dyn Source, target: &dyn Target, base: &CarriedPoints, seen: usize) -> Result<usize> {
    // All that was seen is noted: where there is no more than that, nothing is gone.
    if base.count()? == seen as u64 {
        return Ok(0);
    }
    let mut removed = 0;
    let mut after = None;
    loop {
        let page: Vec<MemoryId> = base.page(after, PAGE)?.into_iter().map(|(id, _)| id).collect();
        after = page.last().copied();
        if after.is_none() {
            return Ok(removed);
        }
        let deleted = source.missing(&page)?;
        if !deleted.is_empty() {
            target.remove(&deleted)?;
            base.delete(&deleted)?;
            removed += deleted.len();
        }
    }
}
