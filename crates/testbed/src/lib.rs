//! Servers that tests run against: Qdrant alone and as a cluster, databases in Postgres, an OpenAI-compatible endpoint.
//!
//! A server that the environment does not name is `None`, and the test that needs it says so and counts as ignored.
//! Everything else that goes wrong here panics: the test cannot go on.
#![warn(missing_docs)]

mod cluster;
mod embeddings;
mod guard;
mod ports;
mod postgres;
mod qdrant;
pub mod rest;
mod service;
mod snapshot;

pub use cluster::Cluster;
pub use embeddings::EmbeddingsEndpoint;
pub use guard::Guarded;
pub use postgres::{Database, POSTGRES, fresh_database, postgres_url};
pub use qdrant::{Given, QDRANT, Qdrant, shared, unique};
pub use service::{Asked, Reply, Service};
pub use snapshot::restore_snapshot;
