//! Searches in the index of the scope that a filter pins.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::connections::Connections;
use super::load;
use super::open::check_embedder;
use super::read::slot_matches;
use super::scopes::scope_id;
use crate::scope_index::{self, Cache, Decide, IndexRead, IndexWrite, Row, Rows, ScopeIndex};
use crate::{
    CandidateQuery, Candidates, Freshness, Result, Scope, ScopeStats, Scored, Search, SparseQuery, StoreError, View,
};

/// A search in a file. No other program changes it.
pub(super) struct SqliteSearch<'s> {
    connections: &'s Connections,
    cache: &'s Cache,
    view: View<'s>,
}

impl<'s> SqliteSearch<'s> {
    pub(super) fn new(connections: &'s Connections, cache: &'s Cache, view: View<'s>) -> Self {
        Self { connections, cache, view }
    }

    /// Runs `work` on the index of the scope that the filter pins, with the rows that the view shows. Returns
    /// `T::default()` if no memory can match.
    fn with_rows<T: Default>(
        &self,
        with_bm25: bool,
        work: impl FnOnce(&Connection, &ScopeIndex, &Rows<'_>) -> Result<T>,
    ) -> Result<T> {
        let View { filter, today, ids: named } = self.view;
        let pinned = filter.scope();
        if pinned.is_contradiction() {
            return Ok(T::default());
        }
        if !pinned.any_pinned() {
            return Err(StoreError::InvalidScope("the filter must name one user_id, agent_id or run_id".into()));
        }
        let scope = Scope::pinned_by(filter);
        self.connections.read(|connection| {
            let mut ids = [None; 3];
            for (kind, value) in scope.ids().into_iter().enumerate() {
                if let Some(value) = value {
                    let Some((id, _)) = scope_id(connection, kind, value)? else { return Ok(T::default()) };
                    ids[kind] = Some(id);
                }
            }
            let Some((kind, id)) = ids.iter().enumerate().find_map(|(kind, id)| Some((kind, (*id)?))) else {
                return Ok(T::default());
            };
            let index = current_index(self.connections, connection, self.cache, kind, id, with_bm25)?;
            let Some(index) = index.as_ref() else { return Ok(T::default()) };
            let decide = |row: &Row| slot_matches(connection, filter, row.slot);
            let conditions = (!filter.is_scope_only()).then(|| Box::new(decide) as Decide<'_>);
            work(connection, index, &Rows::of(index, &ids, today, conditions).with_ids(index, named))
        })
    }
}

impl Search for SqliteSearch<'_> {
    fn scope_stats(&self, terms: &[u32]) -> Result<ScopeStats> {
        let mut stats = self.with_rows(false, |_, index, rows| Ok(scope_index::stats(index, rows, terms)))?;
        stats.document_frequency.resize(terms.len(), 0);
        Ok(stats)
    }

    fn candidates(&self, query: &CandidateQuery<'_>) -> Result<Candidates> {
        self.with_rows(false, |_, index, rows| scope_index::candidates(index, rows, query))
    }

    fn nearest(&self, vector: &[f32], limit: usize) -> Result<Scored> {
        self.with_rows(false, |_, index, rows| scope_index::nearest(index, rows, vector, limit))
    }

    fn sparse(&self, query: &SparseQuery<'_>) -> Result<Scored> {
        self.with_rows(true, |connection, index, rows| {
            let documents: i64 = connection
                .prepare_cached("SELECT value FROM counters WHERE name = 'bm25_documents'")?
                .query_row([], |row| row.get(0))?;
            let mut statement = connection.prepare_cached("SELECT documents FROM bm25_terms WHERE term = ?")?;
            let mut documents_with_term = HashMap::new();
            for (term, _) in query.vector {
                let count: Option<i64> = statement.query_row([term], |row| row.get(0)).optional()?;
                documents_with_term.insert(*term, count.unwrap_or(0) as f32);
            }
            let idf = |term: u32| {
                let n = documents_with_term.get(&term).copied().unwrap_or(0.0);
                (1.0 + (documents as f32 - n + 0.5) / (n + 0.5)).ln()
            };
            scope_index::sparse(index, rows, query.vector, idf, query.limit)
        })
    }

    fn finish(&mut self) -> Result<Freshness> {
        Ok(Freshness::Fresh)
    }
}

/// The index of a scope id, with the version of the snapshot or a later one.
fn current_index(
    connections: &Connections,
    connection: &Connection,
    cache: &Cache,
    kind: usize,
    id: i64,
    with_bm25: bool,
) -> Result<IndexRead> {
    let cached = cache.read(id);
    // No newer snapshot is needed: a writer may only have left a newer version in the index.
    let version: i64 =
        connection.prepare_cached("SELECT version FROM scopes WHERE id = ?")?.query_row([id], |row| row.get(0))?;
    let is_current = |index: &ScopeIndex| index.version >= version && (!with_bm25 || index.has_bm25());
    if cached.as_ref().is_some_and(is_current) {
        return Ok(cached);
    }
    drop(cached);
    let mut guard = cache.write(id);
    if guard.as_ref().is_some_and(is_current) {
        return Ok(IndexWrite::downgrade(guard));
    }
    let options = connections.options();
    let mut index = match guard.take() {
        Some(index) if index.version == version => index,
        _ => {
            // After a move to another embedder, every index is loaded again and is checked here.
            check_embedder(connection, options)?;
            load::scope(connection, options.dims, kind, id, version)?
        }
    };
    if with_bm25 {
        load::bm25(connection, &mut index)?;
    }
    cache.set_size(id, index.bytes());
    *guard = Some(index);
    Ok(IndexWrite::downgrade(guard))
}
