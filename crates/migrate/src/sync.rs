//! A sync pass: copies the points of the source that are new or changed since the last pass, and removes from the
//! target those that the source no longer has.
//!
//! Reading, enriching and writing run at the same time and are connected by bounded channels. A point is recorded as
//! copied after it is durable in the target. An interrupted pass is therefore completed by the next one, and a second
//! pass copies the writes that the source received during the first.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mnemon_engine::{ForeignPoint, embed_mentions, enrich};
use mnemon_models::Embedder;
use mnemon_store::{MemoryId, Record, keys};
use parking_lot::Mutex;

use crate::carried::{CarriedPoints, Digest, EntitiesOf, digests};
use crate::embedding_cache::CachedEmbedder;
use crate::error::{Refusal, Result, worker_panicked};
use crate::source::Source;
use crate::target::Target;

/// The number of pages that a channel between two steps holds.
const CHANNEL_CAPACITY: usize = 4;
/// The number of removals that is always allowed, even if it is more than half of the copied points.
const ALWAYS_ALLOWED_REMOVALS: u64 = 20;
/// The number of ids in a page of the recorded points.
const PAGE: usize = 500;

/// Called with the ids of points.
pub type OnPoints<'e> = dyn Fn(&[MemoryId]) -> Result<()> + Sync + 'e;

/// How a sync pass works.
#[derive(Clone, Copy, Default)]
pub struct SyncOptions<'e> {
    /// Embeds entities; must be the model that made the vectors of the source. Without it no entities are written.
    pub embedder: Option<&'e dyn Embedder>,
    /// Whether another program has written the entities of the points already, as after a cutover.
    pub has_entities: bool,
    /// The highest number of points per second.
    pub rate: Option<u32>,
    /// Whether points that are recorded as copied are written again.
    pub rewrite_all: bool,
    /// Whether more than half of the copied points may be removed because the source no longer has them.
    pub allow_removals: bool,
    /// Called with the ids of the points that are about to be written or removed.
    pub before_change: Option<&'e OnPoints<'e>>,
}

impl std::fmt::Debug for SyncOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncOptions").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl SyncOptions<'_> {
    fn call_before_change(&self, ids: &[MemoryId]) -> Result<()> {
        self.before_change.map_or(Ok(()), |before_change| before_change(ids))
    }
}

/// What a sync pass did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncReport {
    /// Points of the source.
    pub seen: usize,
    /// Points that were copied for the first time.
    pub added: usize,
    /// Points that were copied again because they had changed.
    pub changed: usize,
    /// Points that had been copied without their entities, which were added now.
    pub analysed: usize,
    /// Points that were removed from the target because the source no longer has them.
    pub removed: usize,
    /// How long the pass took.
    pub took: Duration,
    /// How long each step worked. The steps run at the same time, and writing has several threads.
    pub busy: [(&'static str, Duration); 3],
}

impl SyncReport {
    /// Whether the pass changed nothing.
    pub fn is_idle(&self) -> bool {
        self.added + self.changed + self.analysed + self.removed == 0
    }
}

/// Enriched points to write, and the digests to record afterwards.
struct Batch {
    records: Vec<Record>,
    /// Points that are in the target already, and only lack their entities.
    analysed: Vec<Record>,
    digests: Vec<(MemoryId, Digest)>,
    seen: usize,
    counts: Counts,
}

/// Numbers of points by the work done on them.
#[derive(Clone, Copy, Default)]
struct Counts {
    added: usize,
    changed: usize,
    analysed: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.analysed += other.analysed;
    }
}

/// Copies the new and changed points of the source to the target, and removes those that the source no longer has.
/// `progress` gets the number of points done so far.
///
/// # Errors
/// [`crate::MigrateError`] of the source, the embedder or the target; the copied points stay, and the next pass continues.
/// [`crate::MigrateError::Refused`] if the source no longer has most of the copied points.
pub fn sync(
    source: &dyn Source,
    target: &dyn Target,
    carried: &CarriedPoints,
    options: SyncOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<SyncReport> {
    if !options.allow_removals {
        refuse_another_source(source, carried)?;
    }
    let started = Instant::now();
    let shared =
        Writers { target, carried, options, progress, done: AtomicUsize::new(0), recording: Mutex::new(()), started };
    let (to_enrich, read_pages) = sync_channel(CHANNEL_CAPACITY);
    let (to_write, batches) = sync_channel(CHANNEL_CAPACITY);
    let (reading, enriching, writing) = std::thread::scope(|threads| {
        let batches = Arc::new(Mutex::new(batches));
        let reading = threads.spawn(move || read_all(source, &to_enrich));
        let enriching = threads.spawn(move || enrich_all(&read_pages, target, carried, options, &to_write));
        let write = || {
            let (writers, batches) = (&shared, batches.clone());
            move || writers.write_all(&batches)
        };
        let writing: Vec<_> = (0..target.concurrency()).map(|_| threads.spawn(write())).collect();
        // When all writers have ended, the channel is closed, and reading and enriching stop.
        drop(batches);
        let writing: Vec<_> = writing.into_iter().map(|thread| thread.join()).collect();
        (reading.join(), enriching.join(), writing)
    });
    let mut report = SyncReport::default();
    let mut write = Duration::ZERO;
    for written in writing {
        let written = written.map_err(worker_panicked)??;
        report.seen += written.seen;
        report.added += written.counts.added;
        report.changed += written.counts.changed;
        report.analysed += written.counts.analysed;
        write += written.took;
    }
    let enrich = enriching.map_err(worker_panicked)??;
    let read = reading.map_err(worker_panicked)??;
    if !options.allow_removals {
        // All points of the source are recorded, so the source no longer has the others.
        let recorded = carried.count()?;
        refuse_mass_removal(source, recorded.saturating_sub(report.seen as u64), recorded)?;
    }
    report.removed = remove_deleted(source, target, carried, options, report.seen)?;
    report.busy = [("read", read), ("enrich", enrich), ("write", write)];
    report.took = started.elapsed();
    Ok(report)
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
    carried: &CarriedPoints,
    options: SyncOptions<'_>,
    to: &SyncSender<Batch>,
) -> Result<Duration> {
    let mut busy = Duration::ZERO;
    let embedder = options.embedder.map(CachedEmbedder::new);
    for mut page in from {
        let since = Instant::now();
        let seen = page.len();
        let mut now = digests(&page);
        let ids: Vec<MemoryId> = now.keys().copied().collect();
        let before = carried.get(&ids)?;
        let unanalysed =
            if embedder.is_some() { carried.with_entities(EntitiesOf::Unknown, &ids)? } else { HashSet::new() };
        let is_same = |id: &MemoryId, digest: &Digest| before.get(id) == Some(digest);
        now.retain(|id, digest| options.rewrite_all || !is_same(id, digest) || unanalysed.contains(id));
        page.retain(|point| now.contains_key(&point.id));
        let mut counts = Counts::default();
        let mut only_analysed = HashSet::new();
        for point in &mut page {
            match before.get(&point.id) {
                None => counts.added += 1,
                Some(digest) if options.rewrite_all || now.get(&point.id) != Some(digest) => counts.changed += 1,
                Some(_) => {
                    counts.analysed += 1;
                    only_analysed.insert(point.id);
                }
            }
            if before.contains_key(&point.id) && !only_analysed.contains(&point.id) {
                // The lemmas that an earlier pass added belong to the previous text.
                point.payload.remove(keys::TEXT_LEMMATIZED);
            }
        }
        let mut records = enrich(page);
        let mut analysed = Vec::new();
        if target.builds_entities() || embedder.is_none() {
            embed_mentions(&mut records, embedder.as_ref().map(|embedder| embedder as &dyn Embedder))?;
        } else {
            (analysed, records) = records.into_iter().partition(|record| only_analysed.contains(&record.memory.id));
        }
        busy += since.elapsed();
        let digests = now.into_iter().collect();
        if to.send(Batch { records, analysed, digests, seen, counts }).is_err() {
            break;
        }
    }
    Ok(busy)
}

/// What the writer threads share.
struct Writers<'a> {
    target: &'a dyn Target,
    carried: &'a CarriedPoints,
    options: SyncOptions<'a>,
    progress: &'a (dyn Fn(usize) + Sync),
    /// Points done by all writers.
    done: AtomicUsize,
    /// Held while copied points are recorded.
    recording: Mutex<()>,
    started: Instant,
}

/// What one writer did.
#[derive(Default)]
struct WriterCounts {
    seen: usize,
    counts: Counts,
    took: Duration,
}

impl Writers<'_> {
    /// Writes batches until the channel is closed.
    fn write_all(&self, batches: &Mutex<Receiver<Batch>>) -> Result<WriterCounts> {
        let mut counts = WriterCounts::default();
        loop {
            let next = batches.lock().recv();
            let Ok(mut batch) = next else { return Ok(counts) };
            while batch.records.len() < self.target.batch_size() {
                let Ok(more) = batches.lock().try_recv() else { break };
                batch.records.extend(more.records);
                batch.analysed.extend(more.analysed);
                batch.digests.extend(more.digests);
                batch.seen += more.seen;
                batch.counts += more.counts;
            }
            let since = Instant::now();
            counts.seen += batch.seen;
            counts.counts += batch.counts;
            let seen = batch.seen;
            if !batch.digests.is_empty() {
                self.write(batch)?;
            }
            counts.took += since.elapsed();
            let done = self.done.fetch_add(seen, Ordering::Relaxed) + seen;
            (self.progress)(done);
            self.limit_rate(done);
        }
    }

    /// Writes a batch, and records it after it is durable.
    fn write(&self, batch: Batch) -> Result<()> {
        let entities = match (self.options.embedder, self.options.has_entities) {
            (Some(_), _) => EntitiesOf::Recorded,
            (None, true) => EntitiesOf::Target,
            (None, false) => EntitiesOf::Unknown,
        };
        let mut mentioning = batch.analysed;
        if entities == EntitiesOf::Recorded && !self.target.builds_entities() {
            mentioning.extend_from_slice(&batch.records);
        }
        if !batch.records.is_empty() {
            let ids: Vec<MemoryId> = batch.records.iter().map(|record| record.memory.id).collect();
            self.options.call_before_change(&ids)?;
            self.target.write(batch.records)?;
        }
        let _one_at_a_time = self.recording.lock();
        self.carried.record(&batch.digests, &mentioning, entities)
    }

    /// Sleeps as long as this many points must take at the highest rate.
    fn limit_rate(&self, done: usize) {
        if let Some(rate) = self.options.rate.filter(|rate| *rate > 0) {
            let due = Duration::from_secs_f64(done as f64 / f64::from(rate));
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
    }
}

/// Refuses a source that has other points instead of those that were copied, before any of them is copied. A sample shows
/// whether all have to be asked for.
fn refuse_another_source(source: &dyn Source, carried: &CarriedPoints) -> Result<()> {
    let (mut checked, mut missing, mut after) = (0, 0, None);
    loop {
        let page: Vec<MemoryId> = carried.page(after, PAGE)?.into_iter().map(|(id, _)| id).collect();
        after = page.last().copied();
        if after.is_none() {
            return refuse_mass_removal(source, missing as u64, checked as u64);
        }
        checked += page.len();
        missing += source.missing(&page)?.len();
        if missing * 2 <= checked {
            return Ok(());
        }
    }
}

/// Refuses to remove more than half of the copied points: a source that was emptied by mistake would empty the target.
fn refuse_mass_removal(source: &dyn Source, deleted: u64, recorded: u64) -> Result<()> {
    if deleted <= ALWAYS_ALLOWED_REMOVALS || deleted * 2 <= recorded {
        return Ok(());
    }
    let source_location = source.info().location.clone();
    Err(Refusal::MassRemoval { source_location, removed: deleted, copied: recorded }.into())
}

/// Removes from the target the copied points that the source no longer has.
fn remove_deleted(
    source: &dyn Source,
    target: &dyn Target,
    carried: &CarriedPoints,
    options: SyncOptions<'_>,
    seen: usize,
) -> Result<usize> {
    // All points of the source are recorded; if there are no other records, nothing was deleted.
    if carried.count()? == seen as u64 {
        return Ok(0);
    }
    let mut removed = 0;
    let mut after = None;
    loop {
        let page: Vec<MemoryId> = carried.page(after, PAGE)?.into_iter().map(|(id, _)| id).collect();
        after = page.last().copied();
        if after.is_none() {
            return Ok(removed);
        }
        let deleted = source.missing(&page)?;
        if !deleted.is_empty() {
            options.call_before_change(&deleted)?;
            target.remove(&deleted)?;
            carried.delete(&deleted)?;
            removed += deleted.len();
        }
    }
}
