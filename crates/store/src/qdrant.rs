//! The store on servers: memories in Qdrant in the format of mem0 v2, everything else in a ledger.
//!
//! Python mem0 may write to the same collections at the same time. The contents of Qdrant are authoritative. The ledger
//! keeps what Qdrant can't hold (history, links, positions in sessions, terms for ranking), and the writes that are not
//! applied to Qdrant yet.

mod bindings;
mod check;
mod client;
mod codec;
mod collection;
mod compare;
mod count_estimates;
mod entities;
mod entity_updates;
mod external_changes;
mod group_commit;
mod index;
mod inner;
mod locks;
mod options;
mod outbox;
mod plan;
mod plan_codec;
mod planned_write;
mod planner;
mod point_set;
mod points;
mod provenances;
mod pushdown;
mod read;
mod record_points;
mod search;
mod server;
mod tables;
mod unapplied_writes;
mod write;

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::civil::Date;

pub use options::{DescribeTerms, NewCollection, QdrantOptions, Quantization};
pub use server::{CollectionInfo, Indexing, QdrantServer, entity_collection};
pub use tables::LEDGER_SCHEMA;

use inner::Inner;
use search::QdrantSearch;

use crate::database::{Database, Value, snapshot};
use crate::filter::ScopeKey;
use crate::shared_tables::{history, links, messages, terms_state};
use crate::{
    ChangeSet, Entity, ExportRecord, Filter, Finding, HistoryEvent, Link, Memory, MemoryId, MessageSelector,
    NearEntity, Owner, Page, PageRequest, Result, Scope, ScopeSummary, ScopeVersion, Search, SessionMessage,
    SessionWindow, Store, StoreError, StoreInfo, StoreWarning, StoredMemory, TermsState, View,
};

/// The pause between two runs of [`maintain`].
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// A store in two collections of Qdrant and a ledger.
#[derive(Clone)]
pub struct QdrantStore {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for QdrantStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantStore").field("location", &self.inner.location()).finish_non_exhaustive()
    }
}

impl QdrantStore {
    /// Connects, checks the collections, creates missing ones, and applies pending writes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant or the ledger does not answer; [`StoreError::Misconfigured`] for a server that is
    /// too old or the ledger of another collection; [`StoreError::UnusableCollection`]; [`StoreError::EmbedderMismatch`].
    pub fn open(options: QdrantOptions) -> Result<Self> {
        let inner = Arc::new(Inner::open(options)?);
        bindings::bind_ledger(&inner)?;
        bindings::check_ledger_id(&inner)?;
        outbox::apply_all_pending(&inner)?;
        start_maintenance(&inner)?;
        Ok(Self { inner })
    }

    /// Fingerprint and dims of the embedder that filled the store of a ledger; `None` for a new ledger.
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
        self.inner.ledger()
    }
}

/// Runs [`maintain`] periodically in a thread until the store is dropped.
fn start_maintenance(inner: &Arc<Inner>) -> Result<()> {
    let inner: Weak<Inner> = Arc::downgrade(inner);
    let run = move || {
        loop {
            std::thread::sleep(MAINTENANCE_INTERVAL);
            let Some(inner) = inner.upgrade() else { return };
            maintain(&inner);
        }
    };
    std::thread::Builder::new()
        .name("outbox".into())
        .spawn(run)
        .map(drop)
        .map_err(|source| StoreError::Io { path: "outbox".into(), source })
}

/// Applies pending writes of this process and of processes that have ended, and compares scopes in use with Qdrant.
fn maintain(inner: &Arc<Inner>) {
    if let Err(error) = outbox::apply_all_pending(inner) {
        tracing::debug!(%error, "could not apply pending writes");
        return;
    }
    let compared = external_changes::compare_due(inner)
        .and_then(|()| bindings::check_alias(inner))
        .and_then(|()| bindings::check_ledger_id(inner));
    if let Err(error) = compared {
        tracing::debug!(%error, "could not compare the ledger with Qdrant");
    }
}

impl Store for QdrantStore {
    fn info(&self) -> Result<StoreInfo> {
        read::info(&self.inner)
    }

    fn apply(&self, changes: &ChangeSet) -> Result<()> {
        write::apply(&self.inner, changes)
    }

    fn remove_matching(&self, filter: Option<&Filter>, now: &str) -> Result<usize> {
        write::remove_matching(&self.inner, filter, now)
    }

    fn scope_version(&self, scope: &Scope) -> Result<ScopeVersion> {
        snapshot(self.ledger(), |sql| tables::scope_version(sql, scope))
    }

    fn known_form(&self, key: ScopeKey, id: &str) -> Result<Option<String>> {
        read::known_form(&self.inner, key as usize, id)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
        read::get(&self.inner, ids)
    }

    fn get_stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
        read::get_stored(&self.inner, ids)
    }

    fn list(&self, filter: Option<&Filter>, today: Option<Date>, page: &PageRequest) -> Result<Page<Memory>> {
        read::list(&self.inner, filter, today, page)
    }

    fn find_by_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
        read::find_by_hash(&self.inner, scope, hash, today)
    }

    fn session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
        read::session(&self.inner, scope, session, window)
    }

    fn last_in_scope(&self, scope: &Scope) -> Result<Option<Memory>> {
        read::last_in_scope(&self.inner, scope)
    }

    fn last_session(&self, scope: &Scope, count: usize) -> Result<Option<(Memory, Vec<Memory>)>> {
        read::last_session(&self.inner, scope, count)
    }

    fn begin_search<'s>(&'s self, view: View<'s>) -> Result<Box<dyn Search + 's>> {
        Ok(Box::new(QdrantSearch::begin(&self.inner, view)?))
    }

    fn near_entities(
        &self,
        filter: &Filter,
        vectors: &[Vec<f32>],
        limit: usize,
        min_score: f32,
    ) -> Result<Vec<Vec<NearEntity>>> {
        entities::near_entities(&self.inner, filter, vectors, limit, min_score)
    }

    fn entities_of(&self, id: MemoryId) -> Result<Vec<Entity>> {
        entities::entities_of(&self.inner, id)
    }

    fn links_of(&self, id: MemoryId) -> Result<Vec<Link>> {
        outbox::apply_unapplied(&self.inner)?;
        links::links_of(self.ledger(), id)
    }

    fn versions(&self, ids: &[MemoryId]) -> Result<Vec<Link>> {
        links::versions(self.ledger(), ids)
    }

    fn last_messages(&self, scope: &Scope, count: usize) -> Result<Vec<SessionMessage>> {
        messages::last_messages(self.ledger(), scope, count)
    }

    fn messages(&self, ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
        messages::messages(self.ledger(), ids)
    }

    fn message_owners(&self) -> Result<Vec<String>> {
        messages::message_owners(self.ledger())
    }

    fn delete_messages(&self, which: &MessageSelector) -> Result<u64> {
        messages::delete_messages(self.ledger(), which)
    }

    fn history(&self, memory_id: &str) -> Result<Vec<HistoryEvent>> {
        outbox::apply_unapplied(&self.inner)?;
        history::history(self.ledger(), memory_id)
    }

    fn summary(&self, scope: &Scope) -> Result<ScopeSummary> {
        read::summary(&self.inner, scope)
    }

    fn owners(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        read::owners(&self.inner, within)
    }

    fn visit(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
        read::visit(&self.inner, visitor)
    }

    fn check(&self) -> Result<Vec<Finding>> {
        check::check(&self.inner)
    }

    fn repair(&self) -> Result<Vec<Finding>> {
        check::repair(&self.inner)
    }

    fn record_without_entities(&self, without: bool) -> Result<()> {
        collection::record_without_entities(&self.inner.client, &self.inner.collections.memories, without)?;
        bindings::check_ledger_id(&self.inner)
    }

    fn terms_state(&self) -> Result<TermsState> {
        terms_state::terms_state(self.ledger())
    }

    fn set_terms_state(&self, state: &TermsState) -> Result<()> {
        terms_state::set_terms_state(self.ledger(), state)
    }

    fn warnings(&self) -> Vec<StoreWarning> {
        bindings::warnings(&self.inner)
    }
}
