//! The document store: JSON documents that a server keeps beside memories, such as keys, accounts, settings, events and
//! webhook deliveries, by kind and id.

mod collection;
mod merge;
mod queue;
mod table;

pub use collection::{Collection, DocumentKind};
use jiff::Timestamp;
pub use queue::{Queue, RetryPolicy};
use serde_json::Value;
#[cfg(any(feature = "qdrant", feature = "conformance"))]
pub(crate) use table::DOCUMENTS_SCHEMA;

use crate::{Durability, Page, PageRequest, Result};

/// A document: JSON, or a value that is stored as JSON in a [`Collection`].
#[derive(Clone, Debug, PartialEq)]
pub struct Document<T = Value> {
    /// Its kind: `api_key`, `event`, …. The engine and the server define the kinds.
    pub kind: &'static str,
    /// Its id, unique within the kind.
    pub id: String,
    /// The user who owns it; `None` if it belongs to the server.
    pub owner: Option<String>,
    /// When work on it is due, for kinds that are queues.
    pub due: Option<Timestamp>,
    /// Its content.
    pub body: T,
}

impl<T> Document<T> {
    /// A document that belongs to the server.
    pub fn new(kind: &'static str, id: impl Into<String>, body: T) -> Self {
        Self { kind, id: id.into(), owner: None, due: None, body }
    }

    /// Sets the owner.
    #[must_use]
    pub fn owned_by(mut self, owner: Option<&str>) -> Self {
        self.owner = owner.map(str::to_owned);
        self
    }

    /// Sets the time when work on it is due.
    #[must_use]
    pub fn due_at(mut self, at: Timestamp) -> Self {
        self.due = Some(at);
        self
    }

    /// The same document with another body.
    pub(crate) fn with_body<U>(self, body: U) -> Document<U> {
        Document { kind: self.kind, id: self.id, owner: self.owner, due: self.due, body }
    }
}

/// The documents of a server. Its methods block; it is shared between threads and processes. A document whose body is
/// not JSON is an error, [`StoreError::UnreadableDocument`](crate::StoreError::UnreadableDocument), wherever it is
/// read.
pub trait DocumentStore: Send + Sync {
    /// Writes documents in one commit. A document with the same kind and id is replaced and keeps its position in
    /// lists.
    fn put(&self, documents: &[Document], durability: Durability) -> Result<()>;

    /// Writes a document if no document has its kind and id; returns whether it was written. Synced.
    fn put_new(&self, document: &Document) -> Result<bool>;

    /// Writes a document if there is none of its kind; returns whether it was written. If several callers, in all
    /// processes, write the first one at the same time, only one succeeds. Synced.
    fn put_first(&self, document: &Document) -> Result<bool>;

    /// A document by its id.
    fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Documents of a kind, newest first; of these owners (several forms of one id), or of all. The total counts all pages. A
    /// document that can't be read is an error in its place.
    fn scan(&self, kind: &'static str, owners: Option<&[String]>, page: &PageRequest)
    -> Result<Page<Result<Document>>>;

    /// Documents that are due at `now`, the longest due first. A document that can't be read is an error in its place.
    fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Result<Document>>>;

    /// The ids of documents that are due after `after` (all, if it is `None`) and at `until` or earlier, the longest due
    /// first. Bodies are not read.
    fn due_ids(
        &self,
        kind: &'static str,
        after: Option<Timestamp>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>>;

    /// The number of documents of a kind that are due at `now`.
    fn count_due(&self, kind: &'static str, now: Timestamp) -> Result<usize>;

    /// Sets the due time of a document that is due at `now` or earlier even if its body can't be read; returns whether
    /// it did. Of several callers at the same time only one succeeds, if it sets a later time than `now`. Synced.
    fn reschedule(&self, kind: &'static str, id: &str, now: Timestamp, due: Timestamp) -> Result<bool>;

    /// Changes a document in one transaction and returns the changed document. If the document does not exist or
    /// `change` returns false, nothing is written and the result is `None`. Kind and id can't be changed. Synced.
    fn change(
        &self,
        kind: &'static str,
        id: &str,
        change: &mut dyn FnMut(&mut Document) -> bool,
    ) -> Result<Option<Document>>;

    /// Removes a document, even one that can't be read; returns whether it existed. If several callers remove it at the
    /// same time, only one succeeds. Synced.
    fn remove(&self, kind: &'static str, id: &str) -> Result<bool>;

    /// Removes all documents of a user; returns their number. Synced.
    fn delete_owned_by(&self, owner: &str) -> Result<usize>;

    /// Removes all documents of a kind except the newest `keep` and those with a due time, whose work is not done;
    /// returns the number of removed documents.
    fn trim(&self, kind: &'static str, keep: usize) -> Result<usize>;
}
