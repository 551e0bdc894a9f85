//! The interface that every store implements.

use std::ops::ControlFlow;

use jiff::civil::Date;

use crate::filter::ScopeKey;
use crate::{
    ChangeSet, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link, Memory, MemoryId, MessageSelector,
    NearEntity, Owner, Page, PageRequest, Result, Scope, ScopeSummary, ScopeVersion, Search, SessionMessage,
    SessionWindow, StoreError, StoreInfo, StoreWarning, StoredMemory, TermsState, View,
};

/// A store of memories. Its methods block; it is shared between threads.
///
/// Where a method says so, a filter must pin at least one scope id ([`crate::filter::ScopeTerms`]).
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

    /// The form in which the store has an owner's id: as given, else composed (NFC), else decomposed (NFD); `None` if no
    /// memory has one of them.
    fn known_form(&self, key: ScopeKey, id: &str) -> Result<Option<String>>;

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

    /// Begins a search; [`run_search`] runs and finishes it.
    ///
    /// # Errors
    /// Only if the store fails.
    fn begin_search<'s>(&'s self, view: View<'s>) -> Result<Box<dyn Search + 's>>;

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

    /// The links of kind [`Link::SUPERSEDES`] through which these memories are linked with others, directly or over others,
    /// in both directions.
    fn versions(&self, ids: &[MemoryId]) -> Result<Vec<Link>>;

    /// The last messages of exactly this scope, oldest first.
    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>>;

    /// Messages by id, in the requested order; `None` for an id that does not exist.
    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>>;

    /// The owners of messages, each once, as [`Scope::session_scope`] writes them.
    fn message_owners(&self) -> Result<Vec<String>>;

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

    /// Records that migrated memories have no entities, or that they have them; see [`StoreWarning::NoEntities`].
    fn record_without_entities(&self, without: bool) -> Result<()>;

    /// Which version of terms the memories have.
    fn terms_state(&self) -> Result<TermsState>;

    /// Records how far the terms of memories were made again.
    fn set_terms_state(&self, state: &TermsState) -> Result<()>;

    /// Why the store is degraded; usually empty. The call is cheap.
    fn warnings(&self) -> Vec<StoreWarning> {
        Vec::new()
    }
}

/// Runs the reads of a search. They run again if they may have missed a change that another program made before.
///
/// # Errors
/// Those of `reads`; [`StoreError`] if the check for changes fails.
pub fn run_search<T, E: From<StoreError>>(
    store: &dyn Store,
    view: View<'_>,
    reads: impl Fn(&dyn Search) -> Result<T, E>,
) -> Result<T, E> {
    crate::search::run(&mut *store.begin_search(view)?, reads)
}
