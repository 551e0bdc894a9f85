//! How to open a store in Qdrant.

use std::sync::Arc;
use std::time::Duration;

use crate::database::Database;
use crate::{Payload, Terms};

/// Describes a memory by its payload: terms of its text and its speaker's name, without context, and whether the text
/// speaks of a time.
pub type DescribeTerms = Arc<dyn Fn(&Payload) -> (Terms, bool) + Send + Sync>;

/// How vectors are kept small; see Qdrant's guide to quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// One byte a dimension.
    Scalar,
    /// One bit a dimension.
    Binary,
}

/// How a collection is made where there is none. One that is there stays as it is.
#[derive(Clone, Debug, Default)]
pub struct NewCollection {
    /// Shards; Qdrant's default (one a node) if absent.
    pub shards: Option<u32>,
    /// Copies of each shard.
    pub replication_factor: Option<u32>,
    /// Copies that must confirm a write.
    pub write_consistency_factor: Option<u32>,
    /// Keeps vectors on disk instead of in memory.
    pub on_disk: bool,
    /// Keeps small copies of vectors in memory.
    pub quantization: Option<Quantization>,
}

/// How to open a store in Qdrant.
#[derive(Clone)]
pub struct QdrantOptions {
    /// gRPC addresses of one server or of several nodes of one cluster: `http://host:6334`, or `https://` for TLS.
    pub urls: Vec<String>,
    /// Sent with each request.
    pub api_key: Option<String>,
    /// The collection or an alias of it. Entities lie in the one named the same with `_entities`.
    pub collection: String,
    /// Whether an alias will do. It does where the ledger is the same for each name of the collection.
    pub takes_alias: bool,
    /// Fingerprint of the embedder whose vectors are stored.
    pub embedder: String,
    /// Dims of its vectors.
    pub dims: usize,
    /// Where history, links, places in sessions and pending writes are kept; opened with [`super::LEDGER`].
    pub ledger: Arc<dyn Database>,
    /// Describes memories that another program wrote.
    pub describe: DescribeTerms,
    /// Bytes that in-memory indexes of scopes may take together; one scope is always kept, however large.
    pub cache_bytes: usize,
    /// How long a request may take.
    pub timeout: Duration,
    /// How often a request that met no answer is sent again.
    pub retries: u32,
    /// Whether a collection is made where there is none; else that is an error.
    pub create: bool,
    /// How it is made.
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
    /// The defaults: no key, 512 MiB for indexes, 10 seconds a request, three tries, Qdrant's own layout.
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
