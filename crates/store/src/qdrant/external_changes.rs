//! Detects changes to the collection by other programs, and records them in the ledger.
//!
//! Detection needs two counts, which run in parallel to a search: the number of points in a scope, and the number of those
//! that were updated after the latest known update. Python mem0 sets the time of every update. A program whose clock is
//! behind may change neither count: by an update, or by a deletion and an insertion between two checks. Such changes are
//! found within a minute, when the scope is compared ([`super::compare`]).
//!
//! An exact count of a large scope takes as long as a search. Therefore Qdrant is asked for its estimate, which comes from
//! the payload index and includes each insertion and deletion. While Qdrant merges segments, the estimate may be wrong. Its
//! error is measured once a second by an exact count, and subtracted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use qdrant_client::qdrant::{CountPointsBuilder, Filter as RemoteFilter};
use tokio::task::JoinHandle;

use super::compare::compare;
use super::inner::{Inner, start};
use super::outbox::{apply_pending, apply_unapplied};
use super::point_set::PointSet;
use super::points::scroll_payloads;
use super::record_points::{record_current_points, record_points};
use super::tables::{EXISTS, ensure_scope_ids, first_int, has_scope_id, scope_row};
use crate::database::{Sql, Value, snapshot, transact};
use crate::{Durability, Freshness, Result, Scope, StoreError};

/// Updates that are dated further ahead than this, in microseconds, do not count as the latest known update.
const MAX_CLOCK_SKEW: i64 = 3_600_000_000;

/// The counts of a set of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    members: i64,
    /// Points that were updated after the latest known update.
    ahead: i64,
}

/// The counts that Qdrant reported.
struct ReportedCounts {
    counts: Counts,
    /// By how much the estimate was too high, if an exact count was made.
    estimate_error: Option<i64>,
}

/// The counts that Qdrant should report if no other program changed anything.
struct ExpectedCounts {
    counts: Counts,
    /// The latest known update.
    newest: i64,
}

/// Records changes of other programs to these points, if there are any.
pub(super) fn ensure_recorded(inner: &Arc<Inner>, points: PointSet<'_>) -> Result<()> {
    apply_unapplied(inner)?;
    // While a writer of this process is active, its own write causes differences. Reads need not include it yet.
    if inner.writers.write_to(points) || counts_match(inner, points)? || inner.writers.write_to(points) {
        return Ok(());
    }
    lock_and_record(inner, points)
}

/// Records changes of other programs before a write of this process: afterwards its own update would be the latest known
/// one, and an earlier change of another program would not be detected. The caller holds the locks of the scopes.
pub(super) fn ensure_recorded_before_write(inner: &Inner, scopes: &BTreeSet<Scope>) -> Result<()> {
    let ids = scopes.iter().flat_map(|scope| scope.ids().into_iter().enumerate());
    let ids: BTreeSet<(usize, &str)> = ids.filter_map(|(kind, id)| Some((kind, id?))).collect();
    for (kind, value) in ids {
        let points = PointSet::WithScopeId(kind, value);
        if !counts_match(inner, points)? {
            record_changes(inner, points)?;
        }
    }
    Ok(())
}

fn lock_and_record(inner: &Inner, points: PointSet<'_>) -> Result<()> {
    let lock = points.lock();
    let _guard = inner.ledger().lock(&lock)?;
    apply_pending(inner, &lock)?;
    if counts_match(inner, points)? {
        return Ok(());
    }
    record_changes(inner, points)
}

fn expected_counts(sql: &mut dyn Sql, points: PointSet<'_>) -> Result<ExpectedCounts> {
    match points {
        PointSet::WithScopeId(kind, value) => {
            let row = scope_row(sql, kind, value)?;
            let (members, ahead, newest) = row.map_or((0, 0, 0), |row| (row.members, row.ahead, row.newest));
            Ok(ExpectedCounts { counts: Counts { members, ahead }, newest })
        }
        PointSet::All => {
            let query = format!("SELECT count(*), coalesce(max(touched), 0) FROM memories WHERE {EXISTS}");
            let rows = sql.query(&query, &[])?;
            let row = rows.first().ok_or_else(|| StoreError::Corrupt("a count returned no row".into()))?;
            Ok(ExpectedCounts { counts: Counts { members: row.int(0)?, ahead: 0 }, newest: row.int(1)? })
        }
    }
}

/// Whether Qdrant reports the counts that the ledger expects.
fn counts_match(inner: &Inner, points: PointSet<'_>) -> Result<bool> {
    let expected = snapshot(inner.ledger(), |sql| expected_counts(sql, points))?;
    let error = inner.estimates.error(points);
    let filters = (points.filter(), points.filter_updated_after(expected.newest));
    let reported = inner.client.wait(request_counts(inner, filters.0, filters.1, error))?;
    evaluate(inner, points, &expected, reported)
}

/// Whether the reported counts are the expected ones. If an estimate differs, an exact count decides.
fn evaluate(inner: &Inner, points: PointSet<'_>, expected: &ExpectedCounts, reported: ReportedCounts) -> Result<bool> {
    if let Some(error) = reported.estimate_error {
        inner.estimates.set_error(points, error);
    }
    if reported.counts == expected.counts {
        return Ok(true);
    }
    if reported.estimate_error.is_some() || reported.counts.ahead != expected.counts.ahead {
        return Ok(false);
    }
    let exact = request_exact_counts(inner, points, expected.newest)?;
    evaluate(inner, points, expected, exact)
}

fn request_exact_counts(inner: &Inner, points: PointSet<'_>, newest: i64) -> Result<ReportedCounts> {
    inner.client.wait(request_counts(inner, points.filter(), points.filter_updated_after(newest), None))
}

/// Requests both counts. If the error of the estimate is known, the first count is an estimate without that error;
/// otherwise it is exact, and the error is measured.
async fn request_counts(
    inner: &Inner,
    all: RemoteFilter,
    ahead: RemoteFilter,
    estimate_error: Option<i64>,
) -> Result<ReportedCounts> {
    let count = |filter: &RemoteFilter, exact: bool| {
        let request = CountPointsBuilder::new(&inner.collections.memories).filter(filter.clone()).exact(exact).build();
        async move {
            let response = inner.client.send("count", |node| node.count(request.clone())).await?;
            Ok::<i64, StoreError>(response.result.map_or(0, |count| count.count as i64))
        }
    };
    if let Some(error) = estimate_error {
        let (estimate, ahead) = tokio::try_join!(count(&all, false), count(&ahead, true))?;
        return Ok(ReportedCounts { counts: Counts { members: estimate - error, ahead }, estimate_error: None });
    }
    let (estimate, members, ahead) = tokio::try_join!(count(&all, false), count(&all, true), count(&ahead, true))?;
    Ok(ReportedCounts { counts: Counts { members, ahead }, estimate_error: Some(estimate - members) })
}

/// [`ensure_recorded`] in the background of reads. These reads return what the ledger has now, or later. If Qdrant, which
/// is asked afterwards, reports just the expected counts, they include all changes.
pub(super) struct BackgroundCheck {
    scope: Scope,
    expected: ExpectedCounts,
    request: JoinHandle<Result<ReportedCounts>>,
}

impl BackgroundCheck {
    /// Starts the check for the points of a scope. `None` if all changes are recorded already, or if the scope has no ids.
    pub(super) fn start(inner: &Arc<Inner>, scope: Scope) -> Result<Option<Self>> {
        let points = PointSet::of_scope(&scope);
        if matches!(points, PointSet::All) {
            return Ok(None);
        }
        if inner.unapplied.exist() || inner.writers.write_to(points) {
            ensure_recorded(inner, points)?;
            return Ok(None);
        }
        let expected = snapshot(inner.ledger(), |sql| expected_counts(sql, points))?;
        let (all, ahead) = (points.filter(), points.filter_updated_after(expected.newest));
        let error = inner.estimates.error(points);
        let request = start(inner, move |inner| async move { request_counts(&inner, all, ahead, error).await });
        Ok(Some(Self { scope, expected, request }))
    }

    /// Waits for the result. If the reads missed a change, it is recorded first.
    pub(super) fn finish(self, inner: &Arc<Inner>) -> Result<Freshness> {
        let points = PointSet::of_scope(&self.scope);
        let reported = inner.client.finish(self.request)?;
        if evaluate(inner, points, &self.expected, reported)? || inner.writers.write_to(points) {
            return Ok(Freshness::Fresh);
        }
        ensure_recorded(inner, points)?;
        Ok(Freshness::Stale)
    }
}

/// Records changes of other programs. The caller holds the lock of the points.
fn record_changes(inner: &Inner, points: PointSet<'_>) -> Result<()> {
    let expected = snapshot(inner.ledger(), |sql| expected_counts(sql, points))?;
    let counts = request_exact_counts(inner, points, expected.newest)?.counts;
    // In most cases points were added or updated a moment ago.
    let updated = scroll_payloads(inner, points.filter_updated_after(expected.newest))?;
    let added = record_points(inner, updated)?.added;
    let mut deleted = 0;
    if added != counts.members - expected.counts.members {
        deleted = record_current_points(inner, &compare(inner, points)?.differing)?.deleted;
    }
    if let PointSet::WithScopeId(kind, value) = points {
        update_scope_row(inner, kind, value, counts.members)?;
    }
    tracing::debug!(?points, added, deleted, "recorded changes of another program");
    Ok(())
}

/// Updates the expected counts of a scope id after changes were recorded. `members` is the number of its points before the
/// changes were read.
///
/// Points are always counted before they are read. In the other order, a write of another program in between would be
/// counted but not recorded, and would never show as a difference again.
fn update_scope_row(inner: &Inner, kind: usize, value: &str, mut members: i64) -> Result<()> {
    let points = PointSet::WithScopeId(kind, value);
    let latest = || snapshot(inner.ledger(), |sql| newest_update(sql, kind, value));
    let mut newest = latest()?;
    let ahead = loop {
        let ahead = request_exact_counts(inner, points, newest)?.counts.ahead;
        if ahead == 0 {
            break ahead;
        }
        let updated = scroll_payloads(inner, points.filter_updated_after(newest))?;
        members += record_points(inner, updated)?.added;
        let risen = latest()?;
        // The remaining updates are dated far in the future.
        if risen == newest {
            break ahead;
        }
        newest = risen;
    };
    let mut scope = Scope::default();
    *[&mut scope.user_id, &mut scope.agent_id, &mut scope.run_id][kind] = Some(value.to_owned());
    transact(inner.ledger(), Durability::Written, |sql| {
        ensure_scope_ids(sql, &scope)?;
        sql.execute(
            "UPDATE scopes SET version = version + 1, applied = applied + 1, members = $3, newest = $4, ahead = $5
             WHERE kind = $1 AND value = $2",
            &[
                Value::Int(kind as i64),
                Value::Text(value.to_owned()),
                Value::Int(members),
                Value::Int(newest),
                Value::Int(ahead),
            ],
        )
        .map(drop)
    })
}

/// The latest update of the memories with a scope id that is not dated far in the future.
fn newest_update(sql: &mut dyn Sql, kind: usize, value: &str) -> Result<i64> {
    let Some(row) = scope_row(sql, kind, value)? else { return Ok(0) };
    let limit = jiff::Timestamp::now().as_microsecond() + MAX_CLOCK_SKEW;
    let rows = sql.query(
        &format!(
            "SELECT coalesce(max(touched), 0) FROM memories WHERE {EXISTS} AND {} AND touched < $2",
            has_scope_id(kind, 1)
        ),
        &[Value::Int(row.id), Value::Int(limit)],
    )?;
    first_int(&rows)
}

/// Compares the scopes that are in use and due for a comparison, and records the differences.
pub(super) fn compare_due(inner: &Inner) -> Result<()> {
    for (kind, value) in inner.estimates.due() {
        let points = PointSet::WithScopeId(kind, &value);
        let started = Instant::now();
        let comparison = compare(inner, points)?;
        if !comparison.differing.is_empty() {
            let lock = points.lock();
            let _guard = inner.ledger().lock(&lock)?;
            apply_pending(inner, &lock)?;
            if !counts_match(inner, points)? {
                record_changes(inner, points)?;
            }
            let recorded = record_current_points(inner, &comparison.differing)?;
            tracing::debug!(?points, ?recorded, "recorded changes that counts did not show");
        }
        inner.estimates.compared(kind, &value, started.elapsed());
    }
    Ok(())
}
