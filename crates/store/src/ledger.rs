//! What a server keeps beside memories: keys, accounts, settings, events, deliveries. Documents of a kind, by id.

mod documents;

#[cfg(any(feature = "qdrant", feature = "conformance"))]
pub(crate) use documents::DOCUMENTS;
use jiff::Timestamp;
use serde_json::Value;

use crate::store::Result;
use crate::{Page, PageRequest};

/// A JSON value with a name, and with an owner where it is somebody's.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it is: `api_key`, `event`, …; the server's own words.
    pub kind: &'static str,
    /// Unique within the kind.
    pub id: String,
    /// The user whose it is; `None` for what belongs to the server.
    pub owner: Option<String>,
    /// When work on it is due, for kinds that are queues.
    pub due: Option<Timestamp>,
    /// What it says.
    pub body: Value,
}

impl Document {
    /// A document that belongs to the server.
    pub fn new(kind: &'static str, id: impl Into<String>, body: Value) -> Self {
        Self { kind, id: id.into(), owner: None, due: None, body }
    }

    /// The same, belonging to a user.
    #[must_use]
    pub fn of(mut self, owner: Option<&str>) -> Self {
        self.owner = owner.map(str::to_owned);
        self
    }

    /// The same, with work to be done at a time.
    #[must_use]
    pub fn due(mut self, at: Timestamp) -> Self {
        self.due = Some(at);
        self
    }
}

/// What must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    Synced,
    /// The end of the process, however sudden; a power cut may take the last moments. Far cheaper.
    Written,
}

/// The documents of a server. Blocking and shared between threads and processes.
pub trait DocumentStore: Send + Sync {
    /// Writes documents in one commit. One of the same kind and id is replaced and keeps its place in lists.
    fn put(&self, documents: &[Document], durability: Durability) -> Result<()>;

    /// Writes a document unless its kind and id are taken; tells whether it was written. Synced.
    fn put_new(&self, document: &Document) -> Result<bool>;

    /// A document by its id.
    fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Documents of a kind, newest first; of one owner, or of all. The total is over all pages.
    fn documents(&self, kind: &'static str, owner: Option<&str>, page: &PageRequest) -> Result<Page<Document>>;

    /// Documents whose time has come by `now`, the longest due first.
    fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Document>>;

    /// Changes a document in place, with nobody else changing it in between, and returns what it became. Nothing is
    /// written, and `None` returned, if it is not there or `change` returns false. Kind and id stay what they are. Synced.
    fn change(
        &self,
        kind: &'static str,
        id: &str,
        change: &mut dyn FnMut(&mut Document) -> bool,
    ) -> Result<Option<Document>>;

    /// Removes a document and returns it: of several callers one gets it. Synced.
    fn take(&self, kind: &'static str, id: &str) -> Result<Option<Document>>;

    /// Removes everything that belongs to a user; returns how much that was. Synced.
    fn forget(&self, owner: &str) -> Result<usize>;

    /// Removes all but the newest `keep` documents of a kind; returns how many went.
    fn trim(&self, kind: &'static str, keep: usize) -> Result<usize>;
}
