//! The last requests made with a key, for `GET /requests`: collected in memory and saved once a second.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use mnemon_store::{Collection, DocumentStore, Durability, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) const KIND: &str = "request";
/// Requests that are kept, several times the longest page. Older ones remain in the metrics and in the log on stderr.
const MAX_ENTRIES: usize = 1000;

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The request's id.
    pub(crate) id: String,
    /// `GET`, `POST`, ….
    pub(crate) method: String,
    /// The path, without the query.
    pub(crate) path: String,
    /// The status of the answer.
    pub(crate) status_code: u16,
    /// Duration in milliseconds.
    pub(crate) latency_ms: f64,
    /// `api_key` or `admin_api_key`.
    pub(crate) auth_type: String,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
}

/// The requests, and those that are not saved yet.
pub(crate) struct RequestLog {
    saved: Collection<Entry>,
    unsaved: Mutex<VecDeque<Entry>>,
}

impl RequestLog {
    /// The requests in a document store.
    pub(crate) fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self { saved: Collection::new(documents, KIND), unsaved: Mutex::default() }
    }

    /// Adds a request.
    pub(crate) fn add(&self, entry: Entry) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        if unsaved.len() == MAX_ENTRIES {
            unsaved.pop_front();
        }
        unsaved.push_back(entry);
    }

    /// Saves the requests that were added since the last call. Blocks.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner));
        if entries.is_empty() {
            return Ok(());
        }
        // Clients may send the same request id twice; each request is a separate entry.
        let document = |entry| self.saved.document(uuid::Uuid::new_v4().to_string(), entry);
        self.saved.put(&entries.into_iter().map(document).collect::<Vec<_>>(), Durability::Written)?;
        self.saved.trim(MAX_ENTRIES)?;
        Ok(())
    }

    /// The last requests, newest first. Blocks.
    pub(crate) fn last(&self, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.flush()?;
        let found = self.saved.readable(None, &PageRequest { limit, ..PageRequest::default() })?;
        Ok(found.items.into_iter().map(|document| document.body).collect())
    }
}
