//! The embedded store: one SQLite file, one writer, exact search over scopes held in memory.

mod check;
mod entities;
mod load;
mod mem0_history;
pub(crate) mod open;
mod owners;
mod read;
mod reembed;
mod schema;
mod write;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use jiff::civil::Date;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};

pub use mem0_history::read_mem0_history;
pub use open::{SqliteOptions, UNKNOWN_EMBEDDER};
pub use reembed::{ReembedCounts, Reembedding, Switched, TextToEmbed};

use crate::database::{Sql, Tables, sqlite_snapshot, sqlite_transact};
use crate::scope_index::{self, Cache, Decide, IndexRead, IndexWrite, Rows, ScopeIndex};
use crate::{
    CandidateQuery, Candidates, ChangeSet, Durability, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link,
    Memory, MemoryId, MessageSelector, NearEntity, Owner, Page, PageRequest, Result, Scope, ScopeStats, ScopeSummary,
    ScopeVersion, Scored, SessionMessage, SessionWindow, SparseQuery, Store, StoreError, StoreInfo, StoredMemory, View,
};

/// A store in one SQLite file. Several processes may open the same file; each sees the others' commits.
pub struct SqliteStore {
    options: SqliteOptions,
    dims: usize,
    /// Opened by the first write: who only reads never waits for those who write.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    cache: Cache,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.options.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::Damaged`], [`StoreError::NewerSchema`] for a file that is not ours or
    /// not whole (it stays untouched); [`StoreError::EmbedderMismatch`] if another embedder filled it.
    pub fn open(options: SqliteOptions) -> Result<Self> {
        let reader = open::check_freshness(&options)?;
        let writer = if reader.is_none() { Some(open::open_writer(&options)?) } else { None };
        Ok(Self {
            dims: options.dims,
            cache: Cache::new(options.cache_bytes),
            writer: Mutex::new(writer),
            readers: Mutex::new(reader.into_iter().collect()),
            options,
        })
    }

    /// Fingerprint and dims of the embedder that filled the store at `path`.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], if there is no store to look into.
    pub fn embedder_of(path: &Path) -> Result<Option<(String, usize)>> {
        open::embedder_of(path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Writes, one at a time.
    fn write<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let asked = Instant::now();
        let mut writer = self.writer.lock();
        took("write_wait", asked);
        let begun = Instant::now();
        let connection = match writer.take() {
            Some(connection) => connection,
            None => open::open_writer(&self.options)?,
        };
        let result = work(writer.insert(connection));
        took("write", begun);
        result
    }

    /// Runs a read in a snapshot of its own.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let pooled = self.readers.lock().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => open::open_reader(&self.options.path)?,
        };
        let snapshot = connection.transaction()?;
        let result = work(&snapshot);
        drop(snapshot);
        self.readers.lock().push(connection);
        took("read", begun);
        result
    }

    /// [`SqliteStore::read`] for what hands out vectors, or compares with them.
    fn read_vectors<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read(|connection| {
            open::check_still(connection, &self.options)?;
            work(connection)
        })
    }

    /// Searches the index of the scope a filter pins, in the rows that the view shows. `T::default()` where nothing can
    /// match.
    fn search<T: Default>(
        &self,
        view: &View<'_>,
        with_bm25: bool,
        work: impl FnOnce(&Connection, &ScopeIndex, &Rows<'_>) -> Result<T>,
    ) -> Result<T> {
        let pinned = view.filter.scope();
        if pinned.is_contradiction() {
            return Ok(T::default());
        }
        if !pinned.any_pinned() {
            return Err(StoreError::InvalidScope("the filter must name one user_id, agent_id or run_id".into()));
        }
        let scope = Scope::pinned_by(view.filter);
        self.read(|connection| {
            let mut ids = [None; 3];
            for (kind, value) in scope.ids().into_iter().enumerate() {
                if let Some(value) = value {
                    let Some(found) = read::scope_id(connection, kind, value)? else { return Ok(T::default()) };
                    ids[kind] = Some(found.0);
                }
            }
            let Some((kind, anchor)) = ids.iter().enumerate().find_map(|(kind, id)| Some((kind, (*id)?))) else {
                return Ok(T::default());
            };
            let index = self.current(connection, kind, anchor, with_bm25)?;
            let Some(index) = index.as_ref() else { return Ok(T::default()) };
            let filter = view.filter;
            let decide = |row: &scope_index::Row| read::slot_matches(connection, filter, row.slot);
            let further = (!filter.is_scope_only()).then(|| Box::new(decide) as Decide<'_>);
            work(connection, index, &Rows::of(index, &ids, view.today, further))
        })
    }

    /// The index of a scope id at the version of the snapshot or a later one.
    fn current(&self, connection: &Connection, kind: usize, anchor: i64, with_bm25: bool) -> Result<IndexRead> {
        let held = self.cache.read(anchor);
        // A fresh snapshot is not needed: the version a writer left in the index can only be newer.
        let version: i64 = connection
            .prepare_cached("SELECT version FROM scopes WHERE id = ?")?
            .query_row([anchor], |row| row.get(0))?;
        let fits = |index: &ScopeIndex| index.version >= version && (!with_bm25 || index.has_bm25());
        if held.as_ref().is_some_and(fits) {
            return Ok(held);
        }
        drop(held);
        let mut guard = self.cache.write(anchor);
        if guard.as_ref().is_some_and(fits) {
            return Ok(IndexWrite::downgrade(guard));
        }
        let mut index = match guard.take() {
            Some(index) if index.version == version => index,
            _ => {
                // Once the store has been moved to another embedder every index comes by here.
                open::check_still(connection, &self.options)?;
                load::scope(connection, self.dims, kind, anchor, version)?
            }
        };
        if with_bm25 {
            load::bm25(connection, &mut index)?;
        }
        self.cache.settle(anchor, index.bytes());
        *guard = Some(index);
        Ok(IndexWrite::downgrade(guard))
    }
}

/// Tells how long something took to whoever records metrics.
fn took(op: &'static str, since: Instant) {
    metrics::histogram!("mnemon_store_seconds", "op" => op).record(since.elapsed());
}

/// The documents' table is among the memories'.
impl Tables for SqliteStore {
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.write(|connection| sqlite_transact(connection, durability, work))
    }

    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.read(|connection| sqlite_snapshot(connection, work))
    }
}

impl Store for SqliteStore {
    fn info(&self) -> Result<StoreInfo> {
        self.read(|connection| {
            let count = |table: &str| -> Result<usize> {
                let count: i64 =
                    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
                Ok(usize::try_from(count).unwrap_or(0))
            };
            let size = |suffix: &str| {
                let mut name = self.options.path.as_os_str().to_owned();
                name.push(suffix);
                std::fs::metadata(name).map_or(0, |data| data.len())
            };
            Ok(StoreInfo {
                location: format!("sqlite:{}", self.options.path.display()),
                schema: schema::NEWEST,
                embedder: self.options.embedder.clone(),
                dims: self.dims,
                memories: count("memories")?,
                entities: count("entities")?,
                history: count("history")?,
                links: count("links")?,
                messages: count("messages")?,
                bytes: size("") + size("-wal"),
            })
        })
    }

    fn apply(&self, changes: &ChangeSet) -> Result<()> {
        self.write(|connection| write::apply(self, connection, changes))
    }

    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize> {
        self.write(|connection| write::remove_matching(self, connection, filter, now))
    }

    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion> {
        self.read(|connection| read::scope_version(connection, scope))
    }

    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
        self.read(|connection| read::get(connection, ids))
    }

    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
        self.read_vectors(|connection| read::get_stored(connection, ids))
    }

    fn list(&self, filter: Option<&Filter>, today: Option<Date>, page: &PageRequest) -> Result<Page<Memory>> {
        self.read(|connection| read::list(connection, filter, today, page))
    }

    fn find_by_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
        self.read(|connection| read::find_by_hash(connection, scope, hash, today))
    }

    fn session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
        self.read(|connection| read::session(connection, scope, session, window))
    }

    fn last_in_scope(&self, scope: &Scope) -> Result<Option<Memory>> {
        self.read(|connection| read::last_in_scope(connection, scope))
    }

    fn scope_stats(&self, view: &View<'_>, terms: &[u32]) -> Result<ScopeStats> {
        let mut stats = self.search(view, false, |_, index, rows| Ok(scope_index::stats(index, rows, terms)))?;
        stats.document_frequency.resize(terms.len(), 0);
        Ok(stats)
    }

    fn candidates(&self, view: &View<'_>, query: &CandidateQuery<'_>) -> Result<Candidates> {
        self.search(view, false, |_, index, rows| scope_index::candidates(index, rows, query))
    }

    fn nearest(&self, view: &View<'_>, vector: &[f32], limit: usize) -> Result<Scored> {
        self.search(view, false, |_, index, rows| scope_index::nearest(index, rows, vector, limit))
    }

    fn sparse(&self, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored> {
        self.search(view, true, |connection, index, rows| {
            let documents: i64 = connection
                .prepare_cached("SELECT value FROM counters WHERE name = 'bm25_documents'")?
                .query_row([], |row| row.get(0))?;
            let mut statement = connection.prepare_cached("SELECT documents FROM bm25_terms WHERE term = ?")?;
            let mut holding = HashMap::new();
            for (term, _) in query.vector {
                let count: Option<i64> = statement.query_row([term], |row| row.get(0)).optional()?;
                holding.insert(*term, count.unwrap_or(0) as f32);
            }
            let idf = |term: u32| {
                let n = holding.get(&term).copied().unwrap_or(0.0);
                (1.0 + (documents as f32 - n + 0.5) / (n + 0.5)).ln()
            };
            scope_index::sparse(index, rows, query.vector, idf, query.limit)
        })
    }

    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>> {
        self.read_vectors(|connection| entities::near(connection, filter, vectors, limit, min_score))
    }

    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>> {
        self.read_vectors(|connection| entities::of_memory(connection, id))
    }

    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>> {
        self.read(|connection| read::links_of(connection, id))
    }

    fn successors(&self, ids: &[MemoryId]) -> Result<Vec<Link>> {
        crate::messages::successors(self, ids)
    }

    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>> {
        crate::messages::last(self, scope, count)
    }

    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
        crate::messages::get(self, ids)
    }

    fn delete_messages(&self, which: &MessageSelector) -> Result<u64> {
        crate::messages::forget(self, which)
    }

    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>> {
        self.read(|connection| read::history(connection, memory_id))
    }

    fn summary(&self, scope: &Scope) -> Result<ScopeSummary> {
        self.read(|connection| read::summary(connection, scope))
    }

    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        self.read(|connection| owners::owners(connection, within))
    }

    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
        self.read_vectors(|connection| read::visit(connection, visitor))
    }

    fn check(&self) -> Result<Vec<Finding>> {
        self.read(check::check)
    }

    fn repair(&self) -> Result<Vec<Finding>> {
        self.write(check::repair)
    }

    fn warnings(&self) -> Vec<String> {
        // A store that can't be read tells so wherever it is asked for more.
        self.read(|connection| reembed::warnings(connection, &self.options)).unwrap_or_default()
    }
}
