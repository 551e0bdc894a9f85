//! Memories carried over: read, enriched and written at the same time, a few pages on their way.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mnemon_engine::{ForeignPoint, enrich};
use mnemon_models::Embedder;
use mnemon_store::{Change, ChangeSet, Record, Store, StoreError};

use crate::read::Source;
use crate::{MigrateError, Result};

/// Pages between two steps.
const ON_THEIR_WAY: usize = 4;

/// What takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading the source.
    Read,
    /// Lemmas, sparse vectors, entities.
    Enrich,
    /// Writing to the target.
    Write,
}

/// What was carried over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copied {
    /// Points written.
    pub written: usize,
    /// Points that were there already, equal in id; [`crate::verify`] compares them.
    pub unchanged: usize,
    /// How long it took.
    pub took: Duration,
    /// How long each step worked; they work at the same time.
    pub busy: [(&'static str, Duration); 3],
}

/// Carries all points of a source over into a store, adding what search needs; those whose id is there are left as they
/// are. `embedder`, of the kind that made the vectors, embeds entities; without one there are none. `progress` is told how
/// many points are done.
///
/// # Errors
/// [`MigrateError`] of the source, the embedder or the store; what was written until then stays, and a second run goes on.
pub fn copy(
    source: &dyn Source,
    target: &dyn Store,
    embedder: Option<&dyn Embedder>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Copied> {
    let begun = Instant::now();
    let (read, enriched) = (sync_channel(ON_THEIR_WAY), sync_channel(ON_THEIR_WAY));
    let (reading, enriching, writing) = std::thread::scope(|threads| {
        let (to_enrich, from_read) = read;
        let (to_write, from_enrich) = enriched;
        let reading = threads.spawn(move || read_all(source, &to_enrich));
        let enriching = threads.spawn(move || enrich_all(&from_read, embedder, &to_write));
        let writing = write_all(&from_enrich, target, progress);
        // Who still reads stops when nobody takes any more.
        drop(from_enrich);
        (reading.join(), enriching.join(), writing)
    });
    let ended = |_| MigrateError::Unfit("a step of the copy ended of itself".into());
    let (written, unchanged, write) = writing?;
    let enrich = enriching.map_err(ended)??;
    let read = reading.map_err(ended)??;
    let busy = [("read", read), ("enrich", enrich), ("write", write)];
    Ok(Copied { written, unchanged, took: begun.elapsed(), busy })
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
    embedder: Option<&dyn Embedder>,
    to: &SyncSender<Vec<Record>>,
) -> Result<Duration> {
    let mut busy = Duration::ZERO;
    for page in from {
        let since = Instant::now();
        let records = enrich(page, embedder)?;
        busy += since.elapsed();
        if to.send(records).is_err() {
            break;
        }
    }
    Ok(busy)
}

fn write_all(
    from: &Receiver<Vec<Record>>,
    target: &dyn Store,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(usize, usize, Duration)> {
    let (mut written, mut unchanged, mut busy) = (0, 0, Duration::ZERO);
    for records in from {
        let since = Instant::now();
        let page = records.len();
        let new = write(records, target)?;
        written += new;
        unchanged += page - new;
        busy += since.elapsed();
        progress(written + unchanged);
    }
    Ok((written, unchanged, busy))
}

/// Writes records whose id is free; returns how many.
fn write(records: Vec<Record>, target: &dyn Store) -> Result<usize> {
    let ids: Vec<_> = records.iter().map(|record| record.memory.id).collect();
    let there = target.get(&ids)?;
    let new = records.into_iter().zip(there).filter(|(_, there)| there.is_none());
    let mut changes: Vec<Change> = new.map(|(record, _)| Change::Insert(Box::new(record))).collect();
    loop {
        let written = changes.len();
        let changed = ChangeSet { expected: Vec::new(), changes };
        match target.apply(&changed) {
            // Somebody else was faster, or a page brought it twice.
            Err(StoreError::Exists(taken)) => {
                changes = changed.changes;
                changes.retain(|change| !matches!(change, Change::Insert(new) if new.memory.id == taken));
            }
            done => return Ok(done.map(|()| written)?),
        }
    }
}
