//! Whether this process has accepted writes that it could not apply.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the writes of this process that were accepted and could not be applied.
#[derive(Default)]
pub(super) struct UnappliedWrites {
    total: AtomicU64,
    /// How many of them are known to be applied since.
    applied: AtomicU64,
}

impl UnappliedWrites {
    pub(super) fn exist(&self) -> bool {
        self.total() != self.applied.load(Ordering::Acquire)
    }

    pub(super) fn add(&self) {
        self.total.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of such writes so far.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    /// Records that the first `total` of them are applied.
    pub(super) fn mark_applied(&self, total: u64) {
        self.applied.fetch_max(total, Ordering::AcqRel);
    }
}
