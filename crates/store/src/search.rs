//! Searches: reads that belong together and see the same memories.

use crate::{CandidateQuery, Candidates, Result, ScopeStats, Scored, SparseQuery, StoreError};

/// The reads of one search, all on the same [`View`](crate::View). Its filter must pin at least one scope id.
///
/// The reads may run while the store still checks whether other programs changed the memories:
/// [`run_search`](crate::run_search) waits for that.
pub trait Search {
    /// Statistics over the scope ids that the filter pins.
    fn scope_stats(&self, terms: &[u32]) -> Result<ScopeStats>;

    /// Candidates of the default ranking.
    fn candidates(&self, query: &CandidateQuery<'_>) -> Result<Candidates>;

    /// The nearest memories by cosine.
    fn nearest(&self, vector: &[f32], limit: usize) -> Result<Scored>;

    /// The best memories by the stored sparse vector `bm25`: Σ query·document·idf, with the idf over all memories of
    /// the store, as Qdrant computes it. Qdrant counts replaced and deleted memories until it optimizes its segments.
    fn sparse(&self, query: &SparseQuery<'_>) -> Result<Scored>;

    /// Waits for the check for changes of other programs. After [`Freshness::Stale`], the same reads see the changes.
    ///
    /// # Errors
    /// Only if the store fails.
    fn finish(&mut self) -> Result<Freshness>;
}

/// Whether the reads of a search include the changes that other programs made before the search began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They do.
    Fresh,
    /// They may not: the reads must be repeated.
    Stale,
}

/// Runs reads, and runs them again if they are stale.
pub(crate) fn run<T, E: From<StoreError>>(
    search: &mut dyn Search,
    reads: impl Fn(&dyn Search) -> Result<T, E>,
) -> Result<T, E> {
    let found = reads(search)?;
    match search.finish()? {
        Freshness::Fresh => Ok(found),
        Freshness::Stale => reads(search),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A search whose check has this result, and the number of its reads.
    struct Checked(Option<Result<Freshness>>, Cell<usize>);

    impl Search for Checked {
        fn scope_stats(&self, _: &[u32]) -> Result<ScopeStats> {
            self.1.set(self.1.get() + 1);
            Ok(ScopeStats { memories: self.1.get(), ..ScopeStats::default() })
        }

        fn candidates(&self, _: &CandidateQuery<'_>) -> Result<Candidates> {
            Err(StoreError::InvalidCursor)
        }

        fn nearest(&self, _: &[f32], _: usize) -> Result<Scored> {
            Err(StoreError::InvalidCursor)
        }

        fn sparse(&self, _: &SparseQuery<'_>) -> Result<Scored> {
            Err(StoreError::InvalidCursor)
        }

        fn finish(&mut self) -> Result<Freshness> {
            self.0.take().expect("finished once")
        }
    }

    #[test]
    fn stale_reads_are_repeated_once() {
        for (freshness, reads) in [(Freshness::Fresh, 1), (Freshness::Stale, 2)] {
            let mut search = Checked(Some(Ok(freshness)), Cell::new(0));
            let found = run(&mut search, |search| search.scope_stats(&[])).unwrap();
            assert_eq!((found.memories, search.1.get()), (reads, reads));
        }
    }

    #[test]
    fn errors_of_reads_and_of_the_check_are_returned() {
        let mut search = Checked(Some(Err(StoreError::InvalidScope("x".into()))), Cell::new(0));
        let error = run(&mut search, |search| search.scope_stats(&[])).unwrap_err();
        assert!(matches!(error, StoreError::InvalidScope(_)));
        let mut search = Checked(None, Cell::new(0));
        let error = run(&mut search, |search| search.nearest(&[], 1)).unwrap_err();
        assert!(matches!(error, StoreError::InvalidCursor));
    }
}
