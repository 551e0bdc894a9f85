//! Servers for tests: Qdrant as a single server and as a cluster, databases in Postgres, and OpenAI-compatible endpoints.
//!
//! A server that the environment does not name is `None`; the tests that need it report that and count as ignored. All
//! other failures panic, because the test cannot continue.
#![warn(missing_docs)]

mod cluster;
mod embeddings;
pub mod endpoint;
mod guard;
mod ports;
mod postgres;
mod qdrant;
pub mod rest;
mod service;
mod small_disk;
mod snapshot;
pub mod trials;

pub use cluster::Cluster;
pub use embeddings::EmbeddingsEndpoint;
pub use endpoint::{Behaviour, FakeEndpoint};
pub use guard::ChildGuard;
pub use postgres::{Database, POSTGRES, fresh_database, postgres_url};
pub use qdrant::{QDRANT, Qdrant, TestQdrant, shared, unique};
pub use service::{FakeService, ReceivedRequest, Reply};
pub use small_disk::SmallDisk;
pub use snapshot::restore_snapshot;
