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
        let documents: Vec<_> = entries.into_iter().map(document).collect();
        if let Err(error) = self.saved.put(&documents, Durability::Written) {
            // They are saved when the store can be written again.
            let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
            for document in documents.into_iter().rev().take(MAX_ENTRIES.saturating_sub(unsaved.len())) {
                unsaved.push_front(document.body);
            }
            return Err(error);
        }
        self.saved.trim(MAX_ENTRIES)?;
        Ok(())
    }

    /// The last requests, newest first. Blocks.
    pub(crate) fn last(&self, limit: usize) -> Result<Vec<Entry>, StoreError> {
        match self.flush() {
            Err(StoreError::ReadOnly { .. } | StoreError::Full) => {}
            flushed => flushed?,
        }
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = self.saved.readable(None, &PageRequest { limit, ..PageRequest::default() })?;
        let saved = found.items.into_iter().map(|document| document.body);
        Ok(unsaved.into_iter().rev().chain(saved).take(limit).collect())
    }
}
