//! Searches: over the scope in memory, where every signal is at hand; by Qdrant where its own statistics are asked for.

use std::cell::OnceCell;
use std::collections::HashSet;

use qdrant_client::qdrant::{Condition, QueryPointsBuilder, SearchParamsBuilder, VectorInput};

use super::QdrantStore;
use super::codec::{BM25, memory_id, point_id, sparse};
use super::external_changes::Reach;
use super::pushdown::carrying;
use crate::scope_index::{Decide, Row, Rows, ScopeIndex};
use crate::{MemoryId, Result, Scope, Scored, SparseQuery, StoreError, View};

impl QdrantStore {
    /// Searches the index of the scope a filter pins, in the rows that the view shows. `T::default()` where nothing can
    /// match.
    pub(super) fn within<T: Default>(
        &self,
        view: &View<'_>,
        work: impl FnOnce(&ScopeIndex, &Rows<'_>) -> Result<T>,
    ) -> Result<T> {
        let pinned = view.filter.scope();
        if pinned.is_contradiction() {
            return Ok(T::default());
        }
        let scope = Scope::pinned_by(view.filter);
        let anchor = scope.ids().into_iter().enumerate().find_map(|(kind, id)| Some((kind, id?)));
        let Some((kind, value)) = anchor else {
            return Err(StoreError::InvalidScope("the filter must name one user_id, agent_id or run_id".into()));
        };
        if !view.checked.replace(true) {
            self.notice(Reach::Carrying(kind, value))?;
        }
        let Some(rows) = self.pinned(scope.ids())? else { return Ok(T::default()) };
        let Some(row) = rows[kind] else { return Ok(T::default()) };
        let Some(held) = self.index(kind, &row)? else { return Ok(T::default()) };
        let Some(index) = held.as_ref() else { return Ok(T::default()) };
        let matching: OnceCell<HashSet<MemoryId>> = OnceCell::new();
        let decide = |row: &Row| -> Result<bool> {
            let ids = match matching.get() {
                Some(ids) => ids,
                None => {
                    let found = self.matching(view.filter)?;
                    matching.get_or_init(|| found)
                }
            };
            Ok(ids.contains(&row.id))
        };
        let further = (!view.filter.is_scope_only()).then(|| Box::new(decide) as Decide<'_>);
        let ids = rows.map(|row| row.map(|row| row.id));
        work(index, &Rows::of(index, &ids, view.today, further))
    }

    /// The best by the stored slots, with Qdrant's idf.
    pub(super) fn by_slot(&self, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored> {
        let has_bm25 = self.inner.collections.has_bm25;
        let all = self.within(view, |index, rows| {
            let shown = rows.ids(index)?;
            Ok(Some((shown.len() == index.len(), shown)))
        })?;
        let Some((whole, shown)) = all else { return Ok(Scored::new()) };
        if !has_bm25 || shown.is_empty() || query.vector.is_empty() || query.limit == 0 {
            return Ok(Scored::new());
        }
        let mut filter = carrying(&Scope::pinned_by(view.filter));
        if !whole {
            filter.must.push(Condition::has_id(shown.iter().copied().map(point_id)));
        }
        let sparse = sparse(query.vector);
        let asked = QueryPointsBuilder::new(&self.inner.collections.memories)
            .query(VectorInput::new_sparse(sparse.indices, sparse.values))
            .using(BM25)
            .filter(filter)
            .params(SearchParamsBuilder::default().exact(true))
            .limit(query.limit as u64)
            .with_payload(false)
            .build();
        let answer = self.inner.client.call("query", |node| node.query(asked.clone()))?;
        let scored =
            answer.result.into_iter().map(|hit| Ok((memory_id(hit.id)?, hit.score))).collect::<Result<Scored>>()?;
        // One that came a moment ago is not of this view.
        let found: HashSet<MemoryId> = scored.iter().map(|(id, _)| *id).collect();
        let shown: HashSet<MemoryId> = shown.into_iter().filter(|id| found.contains(id)).collect();
        Ok(scored.into_iter().filter(|(id, score)| *score > 0.0 && shown.contains(id)).collect())
    }
}
