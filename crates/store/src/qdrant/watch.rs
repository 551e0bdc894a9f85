//! What is remembered of the scopes that were looked at: how far Qdrant's estimates are off, and when to compare them again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::sync::Reach;
use crate::stable_hash::scope_lock;

/// How long Qdrant's estimate of a scope's size is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// A scope in use is compared as often, unless that takes long: then it may take this part of the time.
const COMPARED: Duration = Duration::from_secs(60);
const PART: u32 = 30;
/// Scopes that are remembered.
const REMEMBERED: usize = 10_000;

/// Scopes by their lock's number.
#[derive(Default)]
pub(super) struct Watch(parking_lot::Mutex<HashMap<i64, Watched>>);

struct Watched {
    kind: usize,
    value: String,
    /// When Qdrant's estimate of its size was last held against a count, and by how much it was too high.
    learnt: Instant,
    excess: i64,
    /// From when on it is to be compared again, if it is used.
    due: Instant,
    used: bool,
}

impl Watch {
    /// How far an estimate is off, if that was found out a moment ago.
    pub(super) fn excess(&self, reach: Reach<'_>) -> Option<i64> {
        let Reach::Carrying(kind, value) = reach else { return None };
        let known = self.0.lock();
        known.get(&scope_lock(kind, value)).filter(|known| known.learnt.elapsed() < BELIEVED).map(|known| known.excess)
    }

    pub(super) fn learn(&self, reach: Reach<'_>, excess: i64) {
        let Reach::Carrying(kind, value) = reach else { return };
        let now = Instant::now();
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let fresh = || Watched { kind, value: value.to_owned(), learnt: now, excess, due: now, used: true };
        let watched = known.entry(scope_lock(kind, value)).or_insert_with(fresh);
        (watched.learnt, watched.excess, watched.used) = (now, excess, true);
    }

    /// Scope ids by kind that are to be compared: those that were used since they last were, or never compared.
    pub(super) fn due(&self) -> Vec<(usize, String)> {
        let now = Instant::now();
        let known = self.0.lock();
        let due = known.values().filter(|known| known.used && known.due <= now);
        due.map(|known| (known.kind, known.value.clone())).collect()
    }

    /// A scope was compared, which took so long.
    pub(super) fn compared(&self, kind: usize, value: &str, took: Duration) {
        if let Some(known) = self.0.lock().get_mut(&scope_lock(kind, value)) {
            known.used = false;
            known.due = Instant::now() + COMPARED.max(took * PART);
        }
    }
}
