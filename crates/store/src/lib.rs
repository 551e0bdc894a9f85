//! Domain types of Mnemon and the stores that keep them.
#![warn(missing_docs)]

mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
pub mod database;
mod error;
pub mod filter;
mod history;
mod id;
mod ledger;
mod memory;
mod messages;
mod owners;
mod payload;
#[cfg(feature = "qdrant")]
pub mod qdrant;
mod query;
mod scope;
mod scope_index;
pub mod sqlite;
mod stable_hash;
mod store;

pub use change::{Change, ChangeSet, ScopeVersion};
pub use error::StoreError;
pub use filter::{Filter, FilterError};
pub use history::{EventKind, HistoryEvent, SessionMessage};
pub use id::MemoryId;
pub use ledger::{Document, Durability, Ledger};
pub use memory::{Entity, Link, Memory, Mention, Provenance, Record, Sparse, TermCount, Terms};
pub use messages::Messages;
pub use payload::{Payload, RESERVED_KEYS, keys, parse_time};
#[cfg(feature = "qdrant")]
pub use qdrant::QdrantStore;
pub use query::*;
pub use scope::{SCOPE_KEYS, Scope};
pub use sqlite::SqliteStore;
pub use store::{Look, Result, Store};
