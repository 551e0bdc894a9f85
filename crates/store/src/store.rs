//! The interface that every store implements.

use std::ops::ControlFlow;

use jiff::civil::Date;

use crate::{
    CandidateQuery, Candidates, ChangeSet, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link, Memory, MemoryId,
    MessageSelector, NearEntity, Owner, Page, PageRequest, Result, Scope, ScopeStats, ScopeSummary, ScopeVersion,
    Scored, SessionMessage, SessionWindow, SparseQuery, StoreInfo, StoredMemory, View,
};

/// A check for changes by other programs that runs in the background. Calling it waits for the result: `true` if the
/// reads of the view since its start are valid, `false` if they must be repeated to include those changes.
pub type FreshnessCheck<'s> = Box<dyn FnOnce() -> Result<bool> + 's>;

/// A store of memories. Its methods block; it is shared between threads.
///
/// Reads that take a [`View`] return only memories that its filter matches. Where a method says so, the filter must pin at
/// least one scope id ([`crate::filter::ScopeTerms`]).
pub trait Store: Send + Sync {
    /// Location, schema and contents of the store.
    fn info(&self) -> Result<StoreInfo>;

    /// Commits a change set durably: all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::StoreError::Conflict) if a scope no longer has its expected version;
    /// [`StoreError::Exists`](crate::StoreError::Exists), [`StoreError::NotFound`](crate::StoreError::NotFound),
    /// [`StoreError::Dims`](crate::StoreError::Dims) for a change that is not possible;
    /// [`StoreError::Full`](crate::StoreError::Full) if there is no space.
    fn apply(&self, changes: &ChangeSet) -> Result<()>;

    /// Removes all memories that the filter matches, or all memories without a filter, in one commit. Adds a `DELETE` row
    /// at `now` (RFC 3339) to the history of each. The commit is made only if no matching memory is left. Returns the
    /// number of removed memories, including expired ones.
    ///
    /// The terms of the remaining memories are not counted again: if only a part of a session is removed, the caller must
    /// do that.
    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize>;

    /// The version of a scope, for [`ChangeSet::expected`].
    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion>;

    /// Memories by id, in the requested order; `None` for an id that does not exist.
    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>>;

    /// Memories with their vectors by id, in the requested order; `None` for an id that does not exist.
    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>>;

    /// Lists memories, newest first; all memories of the store if there is no filter. Memories that expired before
    /// `today` are hidden.
    fn list(&self, filter: Option<&Filter>, today: Option<Date>, page: &PageRequest) -> Result<Page<Memory>>;

    /// The oldest memory of exactly this scope whose text has this hash and that has not expired before `today`.
    fn find_by_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>>;

    /// Memories of a session of exactly this scope.
    fn session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>>;

    /// The newest memory of exactly this scope that belongs to a session.
    fn last_in_scope(&self, scope: &Scope) -> Result<Option<Memory>>;

    /// The newest memory of exactly this scope that belongs to a session, and the last `count` memories of that session.
    fn last_session(&self, scope: &Scope, count: usize) -> Result<Option<(Memory, Vec<Memory>)>> {
        let Some(last) = self.last_in_scope(scope)? else { return Ok(None) };
        let Some(session) = &last.provenance.session else { return Ok(None) };
        let tail = self.session(scope, session, SessionWindow::Last(count))?;
        Ok(Some((last, tail)))
    }

    /// Starts a check whether other programs changed the memories of a view. It replaces the check that the first read of
    /// the view would wait for. `None` if no check in the background is needed.
    ///
    /// # Errors
    /// Only if the store fails.
    fn check_freshness(&self, _view: &View<'_>) -> Result<Option<FreshnessCheck<'_>>> {
        Ok(None)
    }

    /// Statistics over the scope ids that the filter pins.
    fn scope_stats(&self, view: &View<'_>, terms: &[u32]) -> Result<ScopeStats>;

    /// Candidates of the default ranking. The filter must pin a scope id.
    fn candidates(&self, view: &View<'_>, query: &CandidateQuery<'_>) -> Result<Candidates>;

    /// The nearest memories by cosine. The filter must pin a scope id.
    fn nearest(&self, view: &View<'_>, vector: &[f32], limit: usize) -> Result<Scored>;

    /// The best memories by the stored sparse vector `bm25`: Σ query·document·idf, with the idf over all memories of the
    /// store, as Qdrant computes it. Qdrant counts replaced and deleted memories until it optimizes its segments. The
    /// filter must pin a scope id.
    fn sparse(&self, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored>;

    /// For each vector, the entities of the pinned scope with a cosine of at least `min_score`, best first.
    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>>;

    /// The entities that a memory mentions.
    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>>;

    /// The links that start or end at a memory.
    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>>;

    /// The links of kind [`Link::SUPERSEDES`] that end at one of these memories.
    fn successors(&self, ids: &[MemoryId]) -> Result<Vec<Link>>;

    /// The last messages of exactly this scope, oldest first.
    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>>;

    /// Messages by id, in the requested order; `None` for an id that does not exist.
    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>>;

    /// Deletes messages; returns the number of deleted messages.
    fn delete_messages(&self, which: &MessageSelector) -> Result<u64>;

    /// The history of a memory, oldest event first.
    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>>;

    /// Contents of a scope.
    fn summary(&self, scope: &Scope) -> Result<ScopeSummary>;

    /// All owners of memories, or the owners of one user's memories, sorted by the name of the kind and then by id. The
    /// call is cheap enough for frequent use.
    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>>;

    /// Reads the whole store in one snapshot: memories, then entities, in the order they were stored; links, sorted;
    /// history; messages. The visitor may stop the read.
    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()>;

    /// Checks the consistency of the store; the result is empty if there are no findings.
    fn check(&self) -> Result<Vec<Finding>>;

    /// Repairs the findings of [`Store::check`] that can be repaired without losing a memory; returns the repaired ones.
    fn repair(&self) -> Result<Vec<Finding>>;

    /// Warnings about a degraded store, in sentences that say what to do; usually empty. The call is cheap.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
