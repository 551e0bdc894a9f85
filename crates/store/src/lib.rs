//! Domain types of Mnemon and the stores that keep them.
#![warn(missing_docs)]

mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
pub mod database;
mod documents;
mod error;
pub mod filter;
mod forms;
mod history;
mod id;
mod memory;
mod owners;
mod payload;
#[cfg(feature = "qdrant")]
pub mod qdrant;
mod query;
mod role;
mod scope;
mod scope_index;
mod search;
mod shared_tables;
pub mod sqlite;
mod stable_hash;
mod store;
mod warning;

pub use change::{Change, ChangeSet, ScopeVersion};
pub use database::Durability;
pub use documents::{Collection, Document, DocumentKind, DocumentStore, Queue, RetryPolicy};
pub use error::{CollectionProblem, Result, StoreError};
pub use filter::{Filter, FilterError};
pub use forms::{BOM, id_forms, is_blank, is_same_text, nfc};
pub use history::{EventKind, EventName, HistoryEvent, SessionMessage};
pub use id::{InvalidId, MemoryId};
pub use memory::{Entity, Link, Memory, Mention, Provenance, Record, Sparse, TermCount, Terms};
pub use payload::{Payload, PayloadParts, is_reserved_key, keys, parse_day, parse_time, reserved_keys, time_text};
#[cfg(feature = "qdrant")]
pub use qdrant::QdrantStore;
pub use query::*;
pub use role::Role;
pub use scope::{SCOPE_KEYS, Scope};
pub use search::{Freshness, Search};
pub use shared_tables::terms_state::{TERMS_VERSION, TermsState};
pub use sqlite::SqliteStore;
pub use store::{Store, run_search};
pub use warning::StoreWarning;
