//! Searches: in the index of the scope in memory, which has all signals; for `bm25` in Qdrant, which has the idf.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use qdrant_client::qdrant::{Condition, QueryPointsBuilder, SearchParamsBuilder, VectorInput};

use super::codec::{BM25, memory_id, point_id, sparse as sparse_vector};
use super::external_changes::ensure_recorded;
use super::index::{current_index, pinned_rows};
use super::inner::Inner;
use super::point_set::PointSet;
use super::points::matching_ids;
use super::pushdown::has_scope_ids;
use crate::scope_index::{self, Decide, Row, Rows, ScopeIndex};
use crate::{CandidateQuery, Candidates, MemoryId, Result, Scope, ScopeStats, Scored, SparseQuery, StoreError, View};

pub(super) fn scope_stats(inner: &Arc<Inner>, view: &View<'_>, terms: &[u32]) -> Result<ScopeStats> {
    let mut stats = with_rows(inner, view, |index, rows| Ok(scope_index::stats(index, rows, terms)))?;
    stats.document_frequency.resize(terms.len(), 0);
    Ok(stats)
}

pub(super) fn candidates(inner: &Arc<Inner>, view: &View<'_>, query: &CandidateQuery<'_>) -> Result<Candidates> {
    with_rows(inner, view, |index, rows| scope_index::candidates(index, rows, query))
}

pub(super) fn nearest(inner: &Arc<Inner>, view: &View<'_>, vector: &[f32], limit: usize) -> Result<Scored> {
    with_rows(inner, view, |index, rows| scope_index::nearest(index, rows, vector, limit))
}

pub(super) fn sparse(inner: &Arc<Inner>, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored> {
    let all = with_rows(inner, view, |index, rows| {
        let shown = rows.ids(index)?;
        Ok(Some((shown.len() == index.len(), shown)))
    })?;
    let Some((shows_whole_scope, shown)) = all else { return Ok(Scored::new()) };
    if !inner.collections.has_bm25 || shown.is_empty() || query.vector.is_empty() || query.limit == 0 {
        return Ok(Scored::new());
    }
    let mut filter = has_scope_ids(&Scope::pinned_by(view.filter));
    if !shows_whole_scope {
        filter.must.push(Condition::has_id(shown.iter().copied().map(point_id)));
    }
    let vector = sparse_vector(query.vector);
    let request = QueryPointsBuilder::new(&inner.collections.memories)
        .query(VectorInput::new_sparse(vector.indices, vector.values))
        .using(BM25)
        .filter(filter)
        .params(SearchParamsBuilder::default().exact(true))
        .limit(query.limit as u64)
        .with_payload(false)
        .build();
    let response = inner.client.call("query", |node| node.query(request.clone()))?;
    let scored =
        response.result.into_iter().map(|hit| Ok((memory_id(hit.id)?, hit.score))).collect::<Result<Scored>>()?;
    // A memory that was added after the index was read does not belong to the view.
    let found: HashSet<MemoryId> = scored.iter().map(|(id, _)| *id).collect();
    let shown: HashSet<MemoryId> = shown.into_iter().filter(|id| found.contains(id)).collect();
    Ok(scored.into_iter().filter(|(id, score)| *score > 0.0 && shown.contains(id)).collect())
}

/// Runs `work` on the index of the scope that the filter pins, with the rows that the view shows. Returns `T::default()`
/// if no memory can match.
fn with_rows<T: Default>(
    inner: &Arc<Inner>,
    view: &View<'_>,
    work: impl FnOnce(&ScopeIndex, &Rows<'_>) -> Result<T>,
) -> Result<T> {
    let pinned = view.filter.scope();
    if pinned.is_contradiction() {
        return Ok(T::default());
    }
    let scope = Scope::pinned_by(view.filter);
    let first_id = scope.ids().into_iter().enumerate().find_map(|(kind, id)| Some((kind, id?)));
    let Some((kind, value)) = first_id else {
        return Err(StoreError::InvalidScope("the filter must name one user_id, agent_id or run_id".into()));
    };
    if !view.checked.replace(true) {
        ensure_recorded(inner, PointSet::WithScopeId(kind, value))?;
    }
    let Some(rows) = pinned_rows(inner, scope.ids())? else { return Ok(T::default()) };
    let Some(row) = rows[kind] else { return Ok(T::default()) };
    let index = current_index(inner, kind, &row)?;
    let Some(index) = index.as_ref() else { return Ok(T::default()) };
    let matching: OnceCell<HashSet<MemoryId>> = OnceCell::new();
    let decide = |row: &Row| -> Result<bool> {
        let ids = match matching.get() {
            Some(ids) => ids,
            None => {
                let found = matching_ids(inner, view.filter)?;
                matching.get_or_init(|| found)
            }
        };
        Ok(ids.contains(&row.id))
    };
    let conditions = (!view.filter.is_scope_only()).then(|| Box::new(decide) as Decide<'_>);
    let ids = rows.map(|row| row.map(|row| row.id));
    work(index, &Rows::of(index, &ids, view.today, conditions))
}
