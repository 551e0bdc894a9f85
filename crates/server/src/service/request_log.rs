//! The last requests made with a key, for `GET /requests`: collected in memory and saved once a second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const KIND: &str = "request";
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

/// Requests that are not saved yet.
#[derive(Default)]
pub(crate) struct RequestLog {
    unsaved: Mutex<VecDeque<Entry>>,
}

impl RequestLog {
    /// Adds a request.
    pub(crate) fn add(&self, entry: Entry) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        if unsaved.len() == MAX_ENTRIES {
            unsaved.pop_front();
        }
        unsaved.push_back(entry);
    }

    /// Saves the requests that were added since the last call. Blocks.
    pub(crate) fn flush(&self, documents: &dyn DocumentStore) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner));
        if entries.is_empty() {
            return Ok(());
        }
        let document = |entry: &Entry| {
            // Clients may send the same request id twice; each request is a separate entry.
            let id = uuid::Uuid::new_v4().to_string();
            Document::new(KIND, id, serde_json::to_value(entry).unwrap_or_default())
        };
        documents.put(&entries.iter().map(document).collect::<Vec<_>>(), Durability::Written)?;
        documents.trim(KIND, MAX_ENTRIES)?;
        Ok(())
    }

    /// The last requests, newest first. Blocks.
    pub(crate) fn last(&self, documents: &dyn DocumentStore, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.flush(documents)?;
        let page = PageRequest { limit, ..PageRequest::default() };
        let found = documents.documents(KIND, None, &page)?;
        Ok(found.items.into_iter().filter_map(|document| serde_json::from_value(document.body).ok()).collect())
    }
}
