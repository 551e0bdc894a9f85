//! Deletion of all memories that match a filter.

use std::sync::Arc;

use mnemon_engine::{Event, ListRequest};
use mnemon_store::filter::ScopeKey;
use mnemon_store::{EventKind, Filter};

use super::app::App;
use super::webhooks::MemoryEvent;
use crate::error::Problem;

/// Most deleted memories that are reported to webhooks one by one.
const MAX_REPORTED: usize = 10_000;
/// Memories read at a time.
const BATCH: usize = 1000;

impl App {
    /// Deletes the memories that match the filter, which must come from [`crate::auth::Caller::filter`]; `None` deletes
    /// all. With `user`, the user's documents (events, exports, feedback, webhook deliveries) are deleted as well.
    /// Returns the number of deleted memories and documents.
    pub(crate) async fn delete_all(
        self: &Arc<Self>,
        filter: Option<Filter>,
        user: Option<String>,
    ) -> Result<usize, Problem> {
        self.with_webhooks(move |app| {
            let forms = app.forms_of(user.as_deref())?;
            let (events, deleted) = app.delete_matching(filter.as_ref())?;
            Ok((events, deleted + app.delete_documents(&forms)?))
        })
        .await
    }

    /// The same, and saves the event. Returns the number of deleted memories and the id of the event.
    pub(crate) async fn delete_all_with_event(
        self: &Arc<Self>,
        filter: Option<Filter>,
        user: Option<String>,
        owner: Option<String>,
        event: Event,
    ) -> Result<(usize, String), Problem> {
        self.with_webhooks(move |app| {
            let forms = app.forms_of(user.as_deref())?;
            let (events, deleted) = app.delete_matching(filter.as_ref())?;
            app.delete_documents(&forms)?;
            // After it: the event gets the form in which later requests of the user are looked up.
            let owner = owner.map(|owner| app.engine.stored_id(ScopeKey::User, &owner)).transpose()?;
            Ok((events, (deleted, app.events.save(event.succeeded(Vec::new()), owner.as_deref()))))
        })
        .await
    }

    /// The forms in which the store may have the id of a user. Read before a deletion: without memories, the stored form
    /// is not known.
    fn forms_of(&self, user: Option<&str>) -> Result<Vec<String>, Problem> {
        let Some(user) = user else { return Ok(Vec::new()) };
        Ok(self.engine.owner_forms(ScopeKey::User, user)?)
    }

    /// Deletes the documents of a user, whose id may occur in these forms; returns their number.
    fn delete_documents(&self, forms: &[String]) -> Result<usize, Problem> {
        forms.iter().try_fold(0, |deleted, form| Ok(deleted + self.documents.delete_owned_by(form)?))
    }

    fn delete_matching(&self, filter: Option<&Filter>) -> Result<(Vec<MemoryEvent>, usize), Problem> {
        let events = self.deletion_events(filter)?;
        let deleted = match filter {
            Some(filter) => self.engine.delete_matching(filter)?,
            None => self.engine.reset()?,
        };
        // Requests that wait for a job that was cancelled.
        self.job_finished.notify_waiters();
        Ok((events, deleted))
    }

    /// The events of the memories that match, if any webhook subscribes to deletions.
    fn deletion_events(&self, filter: Option<&Filter>) -> Result<Vec<MemoryEvent>, Problem> {
        if !self.webhooks.has_subscriber(EventKind::Delete) {
            return Ok(Vec::new());
        }
        let mut request =
            ListRequest { filter: filter.cloned(), limit: BATCH, show_expired: true, ..ListRequest::default() };
        let mut events = Vec::new();
        loop {
            let page = self.engine.list(&request)?;
            if page.total > MAX_REPORTED {
                tracing::warn!(deleted = page.total, "too many memories are deleted to send a webhook event for each");
                return Ok(Vec::new());
            }
            events.extend(page.items.iter().map(|memory| MemoryEvent::new(EventKind::Delete, memory)));
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(events);
            }
        }
    }
}
