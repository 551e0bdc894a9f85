//! The last requests made with a key, for `GET /requests`: gathered in memory, written down once a second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const KIND: &str = "request";
/// Requests kept: some times as many as one can ask for. Those before live on in the metrics and in the log on stderr.
const KEPT: usize = 1000;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The request's id.
    pub(crate) id: String,
    /// GET, POST, ….
    pub(crate) method: String,
    /// Its path, without the query.
    pub(crate) path: String,
    /// How it was answered.
    pub(crate) status_code: u16,
    /// How long that took, in milliseconds.
    pub(crate) latency_ms: f64,
    /// `api_key` or `admin_api_key`.
    pub(crate) auth_type: String,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
}

/// Requests on their way to the ledger.
#[derive(Default)]
pub(crate) struct RequestLog {
    waiting: Mutex<VecDeque<Entry>>,
}

impl RequestLog {
    pub(crate) fn note(&self, entry: Entry) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == KEPT {
            waiting.pop_front();
        }
        waiting.push_back(entry);
    }

    /// Writes down what has come since.
    pub(crate) fn flush(&self, ledger: &dyn DocumentStore) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if entries.is_empty() {
            return Ok(());
        }
        let document = |entry: &Entry| {
            // A caller may send the same request id twice; each request is a row.
            let id = uuid::Uuid::new_v4().to_string();
            Document::new(KIND, id, serde_json::to_value(entry).unwrap_or_default())
        };
        ledger.put(&entries.iter().map(document).collect::<Vec<_>>(), Durability::Written)?;
        ledger.trim(KIND, KEPT)?;
        Ok(())
    }

    /// The last requests, newest first.
    pub(crate) fn last(&self, ledger: &dyn DocumentStore, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.flush(ledger)?;
        let page = PageRequest { limit, ..PageRequest::default() };
        let found = ledger.documents(KIND, None, &page)?;
        Ok(found.items.into_iter().filter_map(|document| serde_json::from_value(document.body).ok()).collect())
    }
}
