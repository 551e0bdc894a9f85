//! The one door to a store: what every backend must do, and the same way.

use std::ops::ControlFlow;

use jiff::civil::Date;

use crate::{
    CandidateQuery, Candidates, ChangeSet, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link, Memory, MemoryId,
    MessageSelector, NearEntity, Owner, Page, PageRequest, Scope, ScopeStats, ScopeSummary, ScopeVersion, Scored,
    SessionMessage, SessionWindow, SparseQuery, StoreError, StoreInfo, StoredMemory, View,
};

/// The result of a store's work.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A look at what other programs did that is under way: waits for its end and tells whether what was read by the view
/// meanwhile holds. If not, reading it again shows what they did.
pub type FreshnessCheck<'s> = Box<dyn FnOnce() -> Result<bool> + 's>;

/// A store of memories. Blocking and shared between threads.
///
/// Reads that take a [`View`] see the memories its filter matches and nothing else. The filter must pin at least one
/// scope id ([`crate::filter::ScopeTerms`]) wherever a method says so.
pub trait Store: Send + Sync {
    /// What the store is and holds.
    fn info(&self) -> Result<StoreInfo>;

    /// Commits a change set: all of it, durably, or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if an expected scope version has passed; [`StoreError::Exists`], [`StoreError::NotFound`],
    /// [`StoreError::Dims`] for a change that can't be made; [`StoreError::Full`] without room.
    fn apply(&self, changes: &ChangeSet) -> Result<()>;

    /// Removes every memory the filter matches, or all there are, each with a `DELETE` row in the history at `now`
    /// (RFC 3339), in one commit that is only made once none is left. Returns how many there were, expired ones included.
    ///
    /// The terms of memories that stay are not counted anew: where a session loses a part of its memories, that is the
    /// caller's.
    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize>;

    /// The version of a scope, for [`ChangeSet::expected`].
    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion>;

    /// Memories by id, in the order asked; `None` where there is none.
    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>>;

    /// Memories with their vectors by id, in the order asked; `None` where there is none.
    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>>;

    /// Lists memories, newest first. Without a filter: all of the store. Those that expired before `today` are hidden.
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

    /// Begins to look whether other programs changed what a view shows, in place of the look that the view's first read
    /// would wait for; `None` where that has nothing to wait for.
    ///
    /// # Errors
    /// Only if the store fails.
    fn check_freshness(&self, _view: &View<'_>) -> Result<Option<FreshnessCheck<'_>>> {
        Ok(None)
    }

    /// Statistics over the scope ids the filter pins.
    fn scope_stats(&self, view: &View<'_>, terms: &[u32]) -> Result<ScopeStats>;

    /// Candidates of the default ranking. The filter must pin a scope id.
    fn candidates(&self, view: &View<'_>, query: &CandidateQuery<'_>) -> Result<Candidates>;

    /// The nearest memories by cosine. The filter must pin a scope id.
    fn nearest(&self, view: &View<'_>, vector: &[f32], limit: usize) -> Result<Scored>;

    /// The best memories by the stored `bm25` slot: Σ query·document·idf, idf over all memories of the store, as
    /// Qdrant computes it, which counts those that were replaced or deleted until it tidies up. The filter must pin a scope id.
    fn sparse(&self, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored>;

    /// For each vector the entities of the pinned scope with a cosine of at least `min_score`, best first.
    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>>;

    /// Entities that name a memory.
    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>>;

    /// Links that start or end at a memory.
    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>>;

    /// Links of the kind [`Link::SUPERSEDES`] that lead to these memories, whoever they start at.
    fn successors(&self, ids: &[MemoryId]) -> Result<Vec<Link>>;

    /// The last messages of exactly this scope, oldest first.
    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>>;

    /// Messages by id, in the order asked; `None` where there is none.
    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>>;

    /// Removes messages for good; returns how many there were.
    fn delete_messages(&self, which: &MessageSelector) -> Result<u64>;

    /// What happened to a memory, oldest first.
    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>>;

    /// What the store holds of a scope.
    fn summary(&self, scope: &Scope) -> Result<ScopeSummary>;

    /// Everybody who owns memories, or only those of one user's, sorted by the names of the kinds and then by id. Cheap
    /// enough to be asked often.
    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>>;

    /// Everything the store holds, as of one moment: memories, then entities, in the order they were stored; links, sorted;
    /// history; messages. The visitor may end it early.
    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()>;

    /// Checks the store's own consistency; empty when all is well.
    fn check(&self) -> Result<Vec<Finding>>;

    /// Mends what [`Store::check`] finds and can be mended without losing a memory; returns what was mended.
    fn repair(&self) -> Result<Vec<Finding>>;

    /// What the store can't do as it is, in sentences that say what to do; empty when all is well. Cheap.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
