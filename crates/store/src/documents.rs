//! The document store: JSON documents that a server keeps beside memories, such as keys, accounts, settings, events and
//! webhook deliveries, by kind and id.

mod table;

use jiff::Timestamp;
use serde_json::Value;
#[cfg(any(feature = "qdrant", feature = "conformance"))]
pub(crate) use table::DOCUMENTS_SCHEMA;

use crate::{Durability, Page, PageRequest, Result};

/// A JSON document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its kind: `api_key`, `event`, …. The server defines the kinds.
    pub kind: &'static str,
    /// Its id, unique within the kind.
    pub id: String,
    /// The user who owns it; `None` if it belongs to the server.
    pub owner: Option<String>,
    /// When work on it is due, for kinds that are queues.
    pub due: Option<Timestamp>,
    /// Its content.
    pub body: Value,
}

impl Document {
    /// A document that belongs to the server.
    pub fn new(kind: &'static str, id: impl Into<String>, body: Value) -> Self {
        Self { kind, id: id.into(), owner: None, due: None, body }
    }

    /// Sets the owner.
    #[must_use]
    pub fn of(mut self, owner: Option<&str>) -> Self {
        self.owner = owner.map(str::to_owned);
        self
    }

    /// Sets the time when work on it is due.
    #[must_use]
    pub fn due(mut self, at: Timestamp) -> Self {
        self.due = Some(at);
        self
    }
}

/// The documents of a server. Its methods block; it is shared between threads and processes.
pub trait DocumentStore: Send + Sync {
    /// Writes documents in one commit. A document with the same kind and id is replaced and keeps its position in lists.
    fn put(&self, documents: &[Document], durability: Durability) -> Result<()>;

    /// Writes a document if no document has its kind and id; returns whether it was written. Synced.
    fn put_new(&self, document: &Document) -> Result<bool>;

    /// A document by its id.
    fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Documents of a kind, newest first; of one owner, or of all. The total counts all pages.
    fn documents(&self, kind: &'static str, owner: Option<&str>, page: &PageRequest) -> Result<Page<Document>>;

    /// Documents that are due at `now`, the longest due first.
    fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Document>>;

    /// Changes a document in one transaction and returns the changed document. If the document does not exist or `change`
    /// returns false, nothing is written and the result is `None`. Kind and id can't be changed. Synced.
    fn change(
        &self,
        kind: &'static str,
        id: &str,
        change: &mut dyn FnMut(&mut Document) -> bool,
    ) -> Result<Option<Document>>;

    /// Removes a document and returns it. If several callers remove it at the same time, only one gets it. Synced.
    fn take(&self, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Removes all documents of a user; returns their number. Synced.
    fn forget(&self, owner: &str) -> Result<usize>;

    /// Removes all documents of a kind except the newest `keep`; returns the number of removed documents.
    fn trim(&self, kind: &'static str, keep: usize) -> Result<usize>;
}
