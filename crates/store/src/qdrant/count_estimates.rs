//! Data about the scopes in use: the error of Qdrant's count estimates, and when to compare the scope again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::point_set::PointSet;
use crate::stable_hash::scope_lock;

/// How long the measured error of an estimate is valid.
const ERROR_TTL: Duration = Duration::from_secs(1);
/// The interval between two comparisons of a scope in use. A comparison may take at most 1/`MAX_SHARE` of the time, so that
/// the interval is longer for a scope whose comparison takes long.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);
const MAX_SHARE: u32 = 30;
/// Maximum number of scopes.
const MAX_SCOPES: usize = 10_000;

/// The scopes in use, by their lock keys.
#[derive(Default)]
pub(super) struct CountEstimates(parking_lot::Mutex<HashMap<i64, ScopeEstimate>>);

struct ScopeEstimate {
    kind: usize,
    value: String,
    /// When the estimate was last compared with an exact count, and by how much it was too high.
    measured: Instant,
    error: i64,
    /// When the scope must be compared again if it is used.
    due: Instant,
    used: bool,
}

impl CountEstimates {
    /// By how much the estimate of these points is too high, if that was measured recently.
    pub(super) fn error(&self, points: PointSet<'_>) -> Option<i64> {
        let PointSet::WithScopeId(kind, value) = points else { return None };
        let scopes = self.0.lock();
        let scope = scopes.get(&scope_lock(kind, value)).filter(|scope| scope.measured.elapsed() < ERROR_TTL);
        scope.map(|scope| scope.error)
    }

    /// Records a measured error.
    pub(super) fn set_error(&self, points: PointSet<'_>, error: i64) {
        let PointSet::WithScopeId(kind, value) = points else { return };
        let now = Instant::now();
        let mut scopes = self.0.lock();
        if scopes.len() >= MAX_SCOPES {
            scopes.clear();
        }
        let new = || ScopeEstimate { kind, value: value.to_owned(), measured: now, error, due: now, used: true };
        let scope = scopes.entry(scope_lock(kind, value)).or_insert_with(new);
        (scope.measured, scope.error, scope.used) = (now, error, true);
    }

    /// The scope ids, with their kinds, that are due for a comparison and were used since the last one.
    pub(super) fn due(&self) -> Vec<(usize, String)> {
        let now = Instant::now();
        let scopes = self.0.lock();
        let due = scopes.values().filter(|scope| scope.used && scope.due <= now);
        due.map(|scope| (scope.kind, scope.value.clone())).collect()
    }

    /// Records that a scope was compared, and the duration of the comparison.
    pub(super) fn compared(&self, kind: usize, value: &str, duration: Duration) {
        if let Some(scope) = self.0.lock().get_mut(&scope_lock(kind, value)) {
            scope.used = false;
            scope.due = Instant::now() + COMPARE_INTERVAL.max(duration * MAX_SHARE);
        }
    }
}
