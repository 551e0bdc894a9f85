//! The embedded store: one SQLite file, one writer at a time, exact search over scopes in memory.

mod check;
mod connections;
mod entities;
mod load;
mod mem0_history;
mod open;
mod owners;
mod read;
mod reembed;
mod row;
mod schema;
mod scopes;
mod search;
mod write;
mod write_transaction;

use std::ops::ControlFlow;
use std::path::Path;

use jiff::civil::Date;

pub use mem0_history::read_mem0_history;
pub use open::{SqliteOptions, UNKNOWN_EMBEDDER};
pub use reembed::{NewVector, ReembedCounts, Reembedding, SwitchReport, TextToEmbed};

use connections::Connections;
use search::SqliteSearch;

use crate::database::{Durability, Sql, Tables, sqlite_snapshot, sqlite_transact};
use crate::filter::ScopeKey;
use crate::scope_index::Cache;
use crate::shared_tables::{history, links, messages, terms_state};
use crate::{
    ChangeSet, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link, Memory, MemoryId, MessageSelector,
    NearEntity, Owner, Page, PageRequest, Payload, Result, Scope, ScopeSummary, ScopeVersion, Search, SessionMessage,
    SessionWindow, Store, StoreInfo, StoreWarning, StoredMemory, TermsState, View,
};

/// A store in one SQLite file. Several processes may open the same file; each sees the commits of the others.
pub struct SqliteStore {
    connections: Connections,
    cache: Cache,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`](crate::StoreError::NotAStore), [`StoreError::Damaged`](crate::StoreError::Damaged),
    /// [`StoreError::NewerSchema`](crate::StoreError::NewerSchema) for a file that is not a store, is damaged, or is too
    /// new; the file is not changed then. [`StoreError::EmbedderMismatch`](crate::StoreError::EmbedderMismatch) if another
    /// embedder filled it.
    pub fn open(options: SqliteOptions) -> Result<Self> {
        let cache = Cache::new(options.cache_bytes);
        Ok(Self { connections: Connections::open(options)?, cache })
    }

    /// Fingerprint and dims of the embedder that filled the store at `path`; `None` if there is no store.
    ///
    /// # Errors
    /// Same as [`SqliteStore::open`].
    pub fn embedder_of(path: &Path) -> Result<Option<(String, usize)>> {
        open::embedder_of(path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.connections.options().path
    }

    /// A move to the embedder with this fingerprint and dims. Nothing is written yet. `embedding_text` makes the text that
    /// is embedded for a memory; for an entity it is the name.
    pub fn reembedding(&self, embedder: &str, dims: usize, embedding_text: fn(&Payload) -> String) -> Reembedding<'_> {
        Reembedding::new(&self.connections, &self.cache, embedder, dims, embedding_text)
    }
}

/// The table of documents is in the same file as the memories.
impl Tables for SqliteStore {
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.connections.write(|connection| sqlite_transact(connection, durability, work))
    }

    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.connections.read(|connection| sqlite_snapshot(connection, work))
    }
}

impl Store for SqliteStore {
    fn info(&self) -> Result<StoreInfo> {
        self.connections.read(|connection| read::info(connection, self.connections.options()))
    }

    fn apply(&self, changes: &ChangeSet) -> Result<()> {
        let options = self.connections.options();
        self.connections.write(|connection| write::apply(connection, options, &self.cache, changes))
    }

    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize> {
        let options = self.connections.options();
        self.connections.write(|connection| write::remove_matching(connection, options, &self.cache, filter, now))
    }

    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion> {
        self.connections.read(|connection| scopes::scope_version(connection, scope))
    }

    fn known_form(&self, key: ScopeKey, id: &str) -> Result<Option<String>> {
        self.connections.read(|connection| scopes::known_form(connection, key as usize, id))
    }

    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
        self.connections.read(|connection| read::get(connection, ids))
    }

    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
        self.connections.read_vectors(|connection| read::get_stored(connection, ids))
    }

    fn list(&self, filter: Option<&Filter>, today: Option<Date>, page: &PageRequest) -> Result<Page<Memory>> {
        self.connections.read(|connection| read::list(connection, filter, today, page))
    }

    fn find_by_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
        self.connections.read(|connection| read::find_by_hash(connection, scope, hash, today))
    }

    fn session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
        self.connections.read(|connection| read::session(connection, scope, session, window))
    }

    fn last_in_scope(&self, scope: &Scope) -> Result<Option<Memory>> {
        self.connections.read(|connection| read::last_in_scope(connection, scope))
    }

    fn begin_search<'s>(&'s self, view: View<'s>) -> Result<Box<dyn Search + 's>> {
        Ok(Box::new(SqliteSearch::new(&self.connections, &self.cache, view)))
    }

    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>> {
        self.connections
            .read_vectors(|connection| entities::near_entities(connection, filter, vectors, limit, min_score))
    }

    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>> {
        self.connections.read_vectors(|connection| entities::entities_of(connection, id))
    }

    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>> {
        links::links_of(self, id)
    }

    fn versions(&self, ids: &[MemoryId]) -> Result<Vec<Link>> {
        links::versions(self, ids)
    }

    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>> {
        messages::last_messages(self, scope, count)
    }

    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
        messages::messages(self, ids)
    }

    fn message_owners(&self) -> Result<Vec<String>> {
        messages::message_owners(self)
    }

    fn delete_messages(&self, which: &MessageSelector) -> Result<u64> {
        messages::delete_messages(self, which)
    }

    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>> {
        history::history(self, memory_id)
    }

    fn summary(&self, scope: &Scope) -> Result<ScopeSummary> {
        self.connections.read(|connection| read::summary(connection, scope))
    }

    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        self.connections.read(|connection| owners::owners(connection, within))
    }

    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
        self.connections.read_vectors(|connection| read::visit(connection, visitor))
    }

    fn check(&self) -> Result<Vec<Finding>> {
        self.connections.read(check::check)
    }

    fn repair(&self) -> Result<Vec<Finding>> {
        self.connections.write(check::repair)
    }

    fn record_without_entities(&self, without: bool) -> Result<()> {
        self.connections.write(|connection| open::record_without_entities(connection, without))
    }

    fn terms_state(&self) -> Result<TermsState> {
        terms_state::terms_state(self)
    }

    fn set_terms_state(&self, state: &TermsState) -> Result<()> {
        terms_state::set_terms_state(self, state)
    }

    fn warnings(&self) -> Vec<StoreWarning> {
        // If the store can't be read, every other call reports it.
        let options = self.connections.options();
        let read = self.connections.read(|connection| {
            let mut warnings = reembed::warnings(connection, options)?;
            if open::is_without_entities(connection)? {
                warnings.push(StoreWarning::NoEntities);
            }
            Ok(warnings)
        });
        let mut warnings = read.unwrap_or_default();
        warnings.extend(self.connections.refusal());
        warnings
    }
}
