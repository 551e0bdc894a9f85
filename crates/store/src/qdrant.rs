//! The store for those who outgrow one machine: memories in Qdrant as mem0 v2 has them, everything else in a ledger.
//!
//! Python mem0 may write to the same collections at the same time. Whatever Qdrant holds is true; the ledger keeps what it
//! has no room for (history, links, places in sessions, terms for ranking) and the writes that are on their way.

mod check;
mod client;
mod codec;
mod collection;
mod compare;
mod entities;
mod index;
mod options;
mod outbox;
mod plan;
mod pushdown;
mod read;
mod search;
mod server;
mod sync;
mod tables;
mod together;
mod watch;
mod write;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use jiff::civil::Date;
use qdrant_client::qdrant::Filter as Remote;
use tokio::task::JoinHandle;

pub use options::{DescribeTerms, NewCollection, QdrantOptions, Quantization};
pub use server::{CollectionInfo, Indexing, Server, entities_of};
pub use tables::LEDGER;

use client::Client;
use collection::Collections;

use crate::database::{Database, Value, snapshot, transact};
use crate::scope_index::{self, Cache};
use crate::{
    CandidateQuery, Candidates, ChangeSet, Durability, Entity, ExportRecord, Filter, Finding, FreshnessCheck,
    HistoryEvent, Link, Memory, MemoryId, MessageSelector, NearEntity, Owner, Page, PageRequest, Result, Scope,
    ScopeStats, ScopeSummary, ScopeVersion, Scored, SessionMessage, SessionWindow, SparseQuery, Store, StoreError,
    StoreInfo, StoredMemory, View,
};

/// How often pending writes are looked for that nobody applied.
const ROUND: Duration = Duration::from_secs(5);

/// A store in two collections of Qdrant and a ledger.
#[derive(Clone)]
pub struct QdrantStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    collections: Collections,
    ledger: Arc<dyn Database>,
    embedder: String,
    dims: usize,
    describe: DescribeTerms,
    cache: Cache,
    writers: sync::Writers,
    watch: watch::Watch,
    together: together::Together,
    stuck: outbox::Stuck,
    /// The alias that was asked for leads to another collection by now.
    moved: AtomicBool,
    /// The id of our ledger, and whether the collection names another.
    ledger_id: OnceLock<String>,
    foreign: AtomicBool,
}

impl std::fmt::Debug for QdrantStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantStore").field("location", &self.location()).finish_non_exhaustive()
    }
}

impl QdrantStore {
    /// Connects, looks at the collections, makes what is missing, and applies the writes that were on their way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant or the ledger does not answer; [`StoreError::Unfit`] for a server that is too
    /// old, a collection of another kind, or a ledger of another collection; [`StoreError::EmbedderMismatch`].
    pub fn open(options: QdrantOptions) -> Result<Self> {
        let client = Client::new(&options.urls, options.api_key.as_deref(), options.timeout, options.retries)?;
        let collections = Collections::settle(&client, &options)?;
        let inner = Inner {
            client,
            collections,
            ledger: options.ledger,
            embedder: options.embedder,
            dims: options.dims,
            describe: options.describe,
            cache: Cache::new(options.cache_bytes),
            writers: sync::Writers::default(),
            watch: watch::Watch::default(),
            together: together::Together::default(),
            stuck: outbox::Stuck::default(),
            moved: AtomicBool::new(false),
            ledger_id: OnceLock::new(),
            foreign: AtomicBool::new(false),
        };
        let store = Self { inner: Arc::new(inner) };
        store.settle_ledger()?;
        store.look_at_ledger()?;
        store.drain_all()?;
        store.keep_applying()?;
        Ok(store)
    }

    /// Fingerprint and dims of the embedder that filled the store of a ledger; `None` for a new one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the ledger does not answer.
    pub fn embedder_of(ledger: &dyn Database) -> Result<Option<(String, usize)>> {
        snapshot(ledger, |sql| {
            let mut read = |key: &str| -> Result<Option<String>> {
                let rows = sql.query("SELECT value FROM meta WHERE key = $1", &[Value::Text(key.to_owned())])?;
                rows.first().map(|row| Ok(row.text(0)?.to_owned())).transpose()
            };
            let (embedder, dims) = (read("embedder")?, read("dims")?);
            Ok(embedder.zip(dims.and_then(|dims| dims.parse().ok())))
        })
    }

    fn ledger(&self) -> &dyn Database {
        &*self.inner.ledger
    }

    /// Starts work of the client that is waited for later, with [`Client::finish`].
    fn start<T, F>(&self, work: impl FnOnce(Self) -> F) -> JoinHandle<Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.inner.client.start(work(self.clone()))
    }

    fn location(&self) -> String {
        let collections = &self.inner.collections;
        let alias = collections.alias.as_ref().map_or(String::new(), |alias| format!(" (by its alias {alias})"));
        let ledger = self.inner.ledger.location();
        format!("qdrant:{}/{}{alias}, ledger {ledger}", self.inner.client.location(), collections.memories)
    }

    /// A new ledger takes the collection and the embedder it is opened with; an old one insists on its own.
    fn settle_ledger(&self) -> Result<()> {
        let wanted = [
            ("collection", self.inner.collections.memories.clone()),
            ("embedder", self.inner.embedder.clone()),
            ("dims", self.inner.dims.to_string()),
            ("id", uuid::Uuid::new_v4().to_string()),
        ];
        let found = transact(self.ledger(), Durability::Synced, |sql| {
            let mut found = Vec::with_capacity(wanted.len());
            for (key, value) in &wanted {
                let own = [Value::Text((*key).to_owned()), Value::Text(value.clone())];
                sql.execute("INSERT INTO meta(key, value) VALUES($1, $2) ON CONFLICT(key) DO NOTHING", &own)?;
                let rows = sql.query("SELECT value FROM meta WHERE key = $1", &own[..1])?;
                found.push(rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()?.unwrap_or_default());
            }
            Ok(found)
        })?;
        let [collection, stored, stored_dims, id] = &found[..] else { return Ok(()) };
        if *collection != wanted[0].1 {
            let message = format!(
                "the ledger {} belongs to collection `{collection}`, not to `{}`: give each collection a ledger of its own",
                self.inner.ledger.location(),
                wanted[0].1
            );
            return Err(StoreError::Unfit(message));
        }
        if *stored != wanted[1].1 || *stored_dims != wanted[2].1 {
            return Err(StoreError::EmbedderMismatch {
                stored: stored.clone(),
                stored_dims: stored_dims.parse().unwrap_or(0),
                given: self.inner.embedder.clone(),
                given_dims: self.inner.dims,
            });
        }
        self.inner.ledger_id.get_or_init(|| id.clone());
        Ok(())
    }

    /// Applies, now and then, what was accepted and not applied, by this process or by another that is gone; and compares
    /// what is in use with Qdrant.
    fn keep_applying(&self) -> Result<()> {
        let inner: Weak<Inner> = Arc::downgrade(&self.inner);
        let round = move || {
            loop {
                std::thread::sleep(ROUND);
                let Some(inner) = inner.upgrade() else { return };
                let store = Self { inner };
                if let Err(error) = store.drain_all() {
                    tracing::debug!(%error, "pending writes could not be applied");
                } else if let Err(error) = store.compare_due().and_then(|()| store.look_around()) {
                    tracing::debug!(%error, "could not be compared with Qdrant");
                }
            }
        };
        std::thread::Builder::new()
            .name("outbox".into())
            .spawn(round)
            .map(drop)
            .map_err(|source| StoreError::Io { path: "outbox".into(), source })
    }
}

impl QdrantStore {
    /// Whether others have changed what this store was opened on.
    fn look_around(&self) -> Result<()> {
        self.look_at_alias()?;
        self.look_at_ledger()
    }

    /// A collection names the ledger it was first served with: a lost one, or a second one, is noticed by that.
    fn look_at_ledger(&self) -> Result<()> {
        let Some(own) = self.inner.ledger_id.get() else { return Ok(()) };
        let Inner { client, collections, foreign, .. } = &*self.inner;
        let named = collections.ledger(client)?;
        // An API key may not be allowed to: then a lost ledger is not noticed, and everything else works.
        if named.is_none()
            && let Err(error) = collections.name_ledger(client, own)
        {
            tracing::debug!(%error, "the collection could not be made to name its ledger");
        }
        let other = named.filter(|named| named != own);
        if foreign.swap(other.is_some(), Ordering::Relaxed) != other.is_some()
            && let Some(other) = other
        {
            tracing::warn!(store = self.location(), own, other, "the collection was served with another ledger");
        }
        Ok(())
    }

    /// Has the collection name our ledger; whether it named another.
    fn take_over(&self) -> Result<bool> {
        self.look_at_ledger()?;
        let foreign = self.inner.foreign.load(Ordering::Relaxed);
        if let Some(own) = self.inner.ledger_id.get().filter(|_| foreign) {
            self.inner.collections.name_ledger(&self.inner.client, own)?;
            self.look_at_ledger()?;
        }
        Ok(foreign)
    }

    fn look_at_alias(&self) -> Result<()> {
        let moved = self.inner.collections.moved(&self.inner.client)?;
        if self.inner.moved.swap(moved, Ordering::Relaxed) != moved && moved {
            tracing::warn!(store = self.location(), "the alias leads to another collection: start again to serve that");
        }
        Ok(())
    }
}

impl Store for QdrantStore {
    fn info(&self) -> Result<StoreInfo> {
        let [history, links, messages] = snapshot(self.ledger(), |sql| {
            let mut count = |table: &str| -> Result<usize> {
                let rows = sql.query(&format!("SELECT count(*) FROM {table}"), &[])?;
                Ok(usize::try_from(tables::first_int(&rows)?).unwrap_or(0))
            };
            Ok([count("history")?, count("links")?, count("messages")?])
        })?;
        let collections = &self.inner.collections;
        Ok(StoreInfo {
            location: self.location(),
            schema: LEDGER.len() as u32,
            embedder: self.inner.embedder.clone(),
            dims: self.inner.dims,
            memories: self.count_points(&collections.memories, Remote::default())?,
            entities: self.count_points(&collections.entities, Remote::default())?,
            history,
            links,
            messages,
            bytes: self.inner.ledger.bytes(),
        })
    }

    fn apply(&self, changes: &ChangeSet) -> Result<()> {
        self.apply_changes(changes)
    }

    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize> {
        self.remove_all(filter, now)
    }

    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion> {
        snapshot(self.ledger(), |sql| tables::scope_version(sql, scope))
    }

    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
        self.memories(ids)
    }

    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
        self.stored(ids)
    }

    fn list(&self, filter: Option<&Filter>, today: Option<Date>, page: &PageRequest) -> Result<Page<Memory>> {
        self.list_page(filter, today, page)
    }

    fn find_by_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
        self.of_hash(scope, hash, today)
    }

    fn session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
        self.of_session(scope, session, window)
    }

    fn last_in_scope(&self, scope: &Scope) -> Result<Option<Memory>> {
        self.last_of(scope)
    }

    fn last_session(&self, scope: &Scope, count: usize) -> Result<Option<(Memory, Vec<Memory>)>> {
        self.end_of_session(scope, count)
    }

    fn check_freshness(&self, view: &View<'_>) -> Result<Option<FreshnessCheck<'_>>> {
        self.look_out(view)
    }

    fn scope_stats(&self, view: &View<'_>, terms: &[u32]) -> Result<ScopeStats> {
        let mut stats = self.within(view, |index, rows| Ok(scope_index::stats(index, rows, terms)))?;
        stats.document_frequency.resize(terms.len(), 0);
        Ok(stats)
    }

    fn candidates(&self, view: &View<'_>, query: &CandidateQuery<'_>) -> Result<Candidates> {
        self.within(view, |index, rows| scope_index::candidates(index, rows, query))
    }

    fn nearest(&self, view: &View<'_>, vector: &[f32], limit: usize) -> Result<Scored> {
        self.within(view, |index, rows| scope_index::nearest(index, rows, vector, limit))
    }

    fn sparse(&self, view: &View<'_>, query: &SparseQuery<'_>) -> Result<Scored> {
        self.by_slot(view, query)
    }

    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>> {
        self.near(filter, vectors, limit, min_score)
    }

    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>> {
        self.entities_naming(id)
    }

    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>> {
        self.links(id)
    }

    fn successors(&self, ids: &[MemoryId]) -> Result<Vec<Link>> {
        crate::messages::successors(self.ledger(), ids)
    }

    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>> {
        crate::messages::last(self.ledger(), scope, count)
    }

    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
        crate::messages::get(self.ledger(), ids)
    }

    fn delete_messages(&self, which: &MessageSelector) -> Result<u64> {
        crate::messages::forget(self.ledger(), which)
    }

    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>> {
        self.events(memory_id)
    }

    fn summary(&self, scope: &Scope) -> Result<ScopeSummary> {
        self.summed(scope)
    }

    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        self.owners_of(within)
    }

    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
        self.visit_all(visitor)
    }

    fn check(&self) -> Result<Vec<Finding>> {
        self.findings()
    }

    fn repair(&self) -> Result<Vec<Finding>> {
        self.mend()
    }

    fn warnings(&self) -> Vec<String> {
        let collections = &self.inner.collections;
        let mut warnings = Vec::new();
        if !collections.has_bm25 {
            warnings.push(format!(
                "collection `{}` has no bm25 vectors (it was made before mem0 v2): profile mem0 finds by meaning and \
                 entities only; `mnemon migrate rebuild --in-place` adds them",
                collections.memories
            ));
        }
        if self.inner.moved.load(Ordering::Relaxed) {
            warnings.push(format!(
                "the alias leads to another collection than `{}`, which is still served: start again to serve that",
                collections.memories
            ));
        }
        if self.inner.foreign.load(Ordering::Relaxed) {
            warnings.push(format!(
                "collection `{}` was served with another ledger than {}: history, links and sessions are in that one; name \
                 it (MNEMON_LEDGER), or, if it is lost, `mnemon doctor --fix` keeps this one",
                collections.memories,
                self.inner.ledger.location()
            ));
        }
        if self.inner.stuck.is() {
            warnings.push("writes were accepted and wait for Qdrant to be back".into());
        }
        warnings
    }
}
