//! The state that all operations of a store share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use tokio::task::JoinHandle;

use super::client::Client;
use super::collection::Collections;
use super::count_estimates::CountEstimates;
use super::group_commit::GroupCommit;
use super::locks::ActiveWriters;
use super::options::{DescribeTerms, QdrantOptions};
use super::unapplied_writes::UnappliedWrites;
use crate::Result;
use crate::database::Database;
use crate::scope_index::Cache;

/// The state that all operations of a store share.
pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) collections: Collections,
    pub(super) ledger: Arc<dyn Database>,
    pub(super) embedder: String,
    pub(super) dims: usize,
    pub(super) describe: DescribeTerms,
    pub(super) cache: Cache,
    pub(super) writers: ActiveWriters,
    pub(super) estimates: CountEstimates,
    pub(super) group_commit: GroupCommit,
    pub(super) unapplied: UnappliedWrites,
    /// Whether the alias that the store was opened with points to another collection now.
    pub(super) alias_moved: AtomicBool,
    /// Whether the collection says that its memories have no entities.
    pub(super) without_entities: AtomicBool,
    /// The id of the ledger.
    pub(super) ledger_id: OnceLock<String>,
    /// Whether the collection names another ledger.
    pub(super) other_ledger: AtomicBool,
}

impl Inner {
    /// Connects to the server and opens the collections.
    pub(super) fn open(options: QdrantOptions) -> Result<Self> {
        let client = Client::new(&options.urls, options.api_key.as_deref(), options.timeout, options.retries)?;
        let collections = Collections::open(&client, &options)?;
        Ok(Self {
            client,
            collections,
            ledger: options.ledger,
            embedder: options.embedder,
            dims: options.dims,
            describe: options.describe,
            cache: Cache::new(options.cache_bytes),
            writers: ActiveWriters::default(),
            estimates: CountEstimates::default(),
            group_commit: GroupCommit::default(),
            unapplied: UnappliedWrites::default(),
            alias_moved: AtomicBool::new(false),
            without_entities: AtomicBool::new(false),
            ledger_id: OnceLock::new(),
            other_ledger: AtomicBool::new(false),
        })
    }

    pub(super) fn ledger(&self) -> &dyn Database {
        &*self.ledger
    }

    /// The location for messages, without secrets.
    pub(super) fn location(&self) -> String {
        let collections = &self.collections;
        let alias = collections.alias.as_ref().map_or(String::new(), |alias| format!(" (by its alias {alias})"));
        let ledger = self.ledger.location();
        format!("qdrant:{}/{}{alias}, ledger {ledger}", self.client.location(), collections.memories)
    }
}

/// Starts asynchronous work on the threads of the client; [`Client::finish`] waits for it.
pub(super) fn start<T, F>(inner: &Arc<Inner>, work: impl FnOnce(Arc<Inner>) -> F) -> JoinHandle<Result<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    inner.client.start(work(Arc::clone(inner)))
}
