//! Sets of points that operations apply to.

use qdrant_client::qdrant::{Condition, DatetimeRange, Filter as RemoteFilter, Timestamp};

use crate::database::Lock;
use crate::stable_hash::scope_lock;
use crate::{SCOPE_KEYS, Scope, keys};

/// A set of points of the collection.
#[derive(Clone, Copy, Debug)]
pub(super) enum PointSet<'s> {
    /// The points with one scope id: its kind (0 user, 1 agent, 2 run) and its value.
    WithScopeId(usize, &'s str),
    /// All points.
    All,
}

impl<'s> PointSet<'s> {
    /// The smallest set that contains all points with these ids.
    pub(super) fn of_scope(scope: &'s Scope) -> Self {
        let first = scope.ids().into_iter().enumerate().find_map(|(kind, id)| Some((kind, id?)));
        first.map_or(Self::All, |(kind, id)| Self::WithScopeId(kind, id))
    }

    /// The filter for these points.
    pub(super) fn filter(self) -> RemoteFilter {
        match self {
            Self::WithScopeId(kind, value) => {
                RemoteFilter::must([Condition::matches(SCOPE_KEYS[kind], value.to_owned())])
            }
            Self::All => RemoteFilter::default(),
        }
    }

    /// The filter for those of the points that were updated after a time in microseconds.
    pub(super) fn filter_updated_after(self, micros: i64) -> RemoteFilter {
        let mut filter = self.filter();
        let newer = DatetimeRange {
            gt: Some(Timestamp {
                seconds: micros.div_euclid(1_000_000),
                nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
            }),
            ..DatetimeRange::default()
        };
        filter.must.push(Condition::datetime_range(keys::UPDATED_AT, newer));
        filter
    }

    /// The lock that excludes writers of these points.
    pub(super) fn lock(self) -> Lock {
        match self {
            Self::WithScopeId(kind, value) => Lock::Keys(vec![scope_lock(kind, value)]),
            Self::All => Lock::Everything,
        }
    }
}
