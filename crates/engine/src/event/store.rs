//! The events in a document store.

use std::sync::Arc;

use mnemon_store::{Collection, Document, DocumentStore, Durability, PageRequest};

use super::record::Event;
use crate::error::Result;

/// The kind of the documents.
pub(crate) const KIND: &str = "event";
/// Events of finished requests that are kept.
const MAX_EVENTS: usize = 100_000;
/// One in this many saves also removes the oldest events.
const TRIM_INTERVAL: u128 = 1000;

/// The events in a document store. All methods block.
#[derive(Clone)]
pub struct Events {
    stored: Collection<Event>,
}

impl Events {
    /// The events in this document store.
    pub fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self { stored: Collection::new(documents, KIND) }
    }

    /// An event by its id; the document's owner is the user.
    ///
    /// # Errors
    /// If the document store fails, or the event can't be read.
    pub fn find(&self, id: &str) -> Result<Option<Document<Event>>> {
        Ok(self.stored.get(id)?)
    }

    /// The same, if its owner passes. Others count as absent, even if they can't be read.
    ///
    /// # Errors
    /// As [`Events::find`].
    pub fn find_visible(&self, id: &str, is_visible: impl FnOnce(Option<&str>) -> bool) -> Result<Option<Event>> {
        Ok(self.stored.get_visible(id, is_visible)?.map(|document| document.body))
    }

    /// A page of events, newest first, and the number of all: of one user, given in all forms of the id, or of all. An
    /// event that can't be read is logged and left out.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn list(&self, user: Option<&[String]>, page: &PageRequest) -> Result<(usize, Vec<Event>)> {
        let found = self.stored.readable(user, page)?;
        Ok((found.total, found.items.into_iter().map(|document| document.body).collect()))
    }

    /// Saves the event of a finished request and returns its id. The work is already done, so a failure is logged and
    /// not returned. Not synced to disk: memories are stored durably elsewhere, so a power failure may only lose an
    /// event's details.
    pub fn save(&self, event: Event, owner: Option<&str>) -> String {
        let id = event.id.clone();
        let document = self.stored.document(id.as_str(), event).owned_by(owner);
        if let Err(error) = self.stored.put(&[document], Durability::Written) {
            tracing::warn!(%error, event_id = %id, "could not save an event");
        }
        self.trim_sometimes();
        id
    }

    /// Removes the oldest events, in one of [`TRIM_INTERVAL`] calls. Pending requests stay.
    pub(crate) fn trim_sometimes(&self) {
        if !uuid::Uuid::new_v4().as_u128().is_multiple_of(TRIM_INTERVAL) {
            return;
        }
        if let Err(error) = self.stored.trim(MAX_EVENTS) {
            tracing::warn!(%error, "could not remove the oldest events");
        }
    }
}
