//! Searches: in the index of the scope in memory, which has all signals; for `bm25` in Qdrant, which has the idf.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use qdrant_client::qdrant::{Condition, QueryPointsBuilder, SearchParamsBuilder, VectorInput};

use super::codec::{BM25, memory_id, point_id, sparse as sparse_vector};
use super::external_changes::BackgroundCheck;
use super::index::{current_index, pinned_rows};
use super::inner::Inner;
use super::points::matching_ids;
use super::pushdown::has_scope_ids;
use crate::scope_index::{self, Decide, Row, Rows, ScopeIndex};
use crate::{
    CandidateQuery, Candidates, Freshness, MemoryId, Result, Scope, ScopeStats, Scored, Search, SparseQuery,
    StoreError, View,
};

/// A search, and the check for changes of other programs that runs at the same time.
pub(super) struct QdrantSearch<'s> {
    inner: &'s Arc<Inner>,
    view: View<'s>,
    check: Option<BackgroundCheck>,
}

impl<'s> QdrantSearch<'s> {
    pub(super) fn begin(inner: &'s Arc<Inner>, view: View<'s>) -> Result<Self> {
        // Without memories that can match there is nothing to check.
        let check = if view.filter.scope().is_contradiction() {
            None
        } else {
            BackgroundCheck::start(inner, Scope::pinned_by(view.filter))?
        };
        Ok(Self { inner, view, check })
    }

    /// Runs `work` on the index of the scope that the filter pins, with the rows that the view shows. Returns
    /// `T::default()` if no memory can match.
    fn with_rows<T: Default>(&self, work: impl FnOnce(&ScopeIndex, &Rows<'_>) -> Result<T>) -> Result<T> {
        let View { filter, today, ids: named } = self.view;
        if filter.scope().is_contradiction() {
            return Ok(T::default());
        }
        let scope = Scope::pinned_by(filter);
        let Some(kind) = scope.ids().iter().position(Option::is_some) else {
            return Err(StoreError::InvalidScope("the filter must name one user_id, agent_id or run_id".into()));
        };
        let Some(rows) = pinned_rows(self.inner, scope.ids())? else { return Ok(T::default()) };
        let Some(row) = rows[kind] else { return Ok(T::default()) };
        let index = current_index(self.inner, kind, &row)?;
        let Some(index) = index.as_ref() else { return Ok(T::default()) };
        let matching: OnceCell<HashSet<MemoryId>> = OnceCell::new();
        let decide = |row: &Row| -> Result<bool> {
            let ids = match matching.get() {
                Some(ids) => ids,
                None => {
                    let found = matching_ids(self.inner, filter)?;
                    matching.get_or_init(|| found)
                }
            };
            Ok(ids.contains(&row.id))
        };
        let conditions = (!filter.is_scope_only()).then(|| Box::new(decide) as Decide<'_>);
        let ids = rows.map(|row| row.map(|row| row.id));
        work(index, &Rows::of(index, &ids, today, conditions).with_ids(index, named))
    }
}

impl Search for QdrantSearch<'_> {
    fn scope_stats(&self, terms: &[u32]) -> Result<ScopeStats> {
        let mut stats = self.with_rows(|index, rows| Ok(scope_index::stats(index, rows, terms)))?;
        stats.document_frequency.resize(terms.len(), 0);
        Ok(stats)
    }

    fn candidates(&self, query: &CandidateQuery<'_>) -> Result<Candidates> {
        self.with_rows(|index, rows| scope_index::candidates(index, rows, query))
    }

    fn nearest(&self, vector: &[f32], limit: usize) -> Result<Scored> {
        self.with_rows(|index, rows| scope_index::nearest(index, rows, vector, limit))
    }

    fn sparse(&self, query: &SparseQuery<'_>) -> Result<Scored> {
        let all = self.with_rows(|index, rows| {
            let shown = rows.ids(index)?;
            Ok(Some((shown.len() == index.len(), shown)))
        })?;
        let Some((shows_whole_scope, shown)) = all else { return Ok(Scored::new()) };
        let inner = self.inner;
        if !inner.collections.has_bm25 || shown.is_empty() || query.vector.is_empty() || query.limit == 0 {
            return Ok(Scored::new());
        }
        let mut filter = has_scope_ids(&Scope::pinned_by(self.view.filter));
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

    fn finish(&mut self) -> Result<Freshness> {
        self.check.take().map_or(Ok(Freshness::Fresh), |check| check.finish(self.inner))
    }
}
