//! How to open a store in Qdrant.

use std::sync::Arc;
use std::time::Duration;

use crate::database::Database;
use crate::{Payload, Terms};

/// Describes a memory by its payload: the terms of its text and of its speaker's name, without context, and whether the
/// text mentions a time.
pub type DescribeTerms = Arc<dyn Fn(&Payload) -> (Terms, bool) + Send + Sync>;

/// How vectors are compressed; see Qdrant's guide to quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// One byte a dimension.
    Scalar,
    /// One bit a dimension.
    Binary,
}

/// How a missing collection is created. An existing collection is not changed.
#[derive(Clone, Debug, Default)]
pub struct NewCollection {
    /// Number of shards; Qdrant's default (one for each node) if absent.
    pub shards: Option<u32>,
    /// Number of copies of each shard.
    pub replication_factor: Option<u32>,
    /// Number of copies that must confirm a write.
    pub write_consistency_factor: Option<u32>,
    /// Whether vectors are kept on disk instead of in memory.
    pub on_disk: bool,
    /// Whether compressed copies of vectors are kept in memory, and how.
    pub quantization: Option<Quantization>,
}

/// How to open a store in Qdrant.
#[derive(Clone)]
pub struct QdrantOptions {
    /// gRPC addresses of one server or of several nodes of one cluster: `http://host:6334`, or `https://` for TLS.
    pub urls: Vec<String>,
    /// The API key, which is sent with each request.
    pub api_key: Option<String>,
    /// The collection or its alias. Entities are in the collection with the same name and the suffix `_entities`.
    pub collection: String,
    /// Whether an alias is accepted. It must not be if the ledger depends on the name of the collection.
    pub takes_alias: bool,
    /// Fingerprint of the embedder whose vectors are stored.
    pub embedder: String,
    /// Dims of its vectors.
    pub dims: usize,
    /// The ledger: history, links, positions in sessions and pending writes. It is opened with [`super::LEDGER_SCHEMA`].
    pub ledger: Arc<dyn Database>,
    /// Describes memories that another program wrote.
    pub describe: DescribeTerms,
    /// Maximum size of all scope indexes in memory, in bytes. One index is always kept, even if it is larger.
    pub cache_bytes: usize,
    /// Timeout of a request.
    pub timeout: Duration,
    /// How often an unanswered request is retried.
    pub retries: u32,
    /// Whether a missing collection is created; if not, it is an error.
    pub create: bool,
    /// How it is created.
    pub new: NewCollection,
}

impl std::fmt::Debug for QdrantOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantOptions")
            .field("urls", &self.urls)
            .field("collection", &self.collection)
            .finish_non_exhaustive()
    }
}

impl QdrantOptions {
    /// The defaults: no key, 512 MiB for indexes, a timeout of 10 seconds, two retries, Qdrant's default layout.
    pub fn new(
        url: impl Into<String>,
        collection: impl Into<String>,
        embedder: impl Into<String>,
        dims: usize,
        ledger: Arc<dyn Database>,
        describe: DescribeTerms,
    ) -> Self {
        Self {
            urls: vec![url.into()],
            api_key: None,
            collection: collection.into(),
            takes_alias: true,
            embedder: embedder.into(),
            dims,
            ledger,
            describe,
            cache_bytes: 512 << 20,
            timeout: Duration::from_secs(10),
            retries: 2,
            create: true,
            new: NewCollection::default(),
        }
    }
}
