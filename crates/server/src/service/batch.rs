//! Changes of many memories in one request. All are checked first, then they are one commit.

use std::sync::Arc;

use mnemon_engine::{EngineError, Event, EventResult, RequestKind, UpdateRequest};
use mnemon_store::{EventKind, Memory, MemoryId};
use serde_json::json;

use super::app::App;
use super::memories::check_mutable;
use super::webhooks::MemoryEvent;
use crate::auth::Caller;
use crate::error::Problem;

impl App {
    /// Changes memories of the caller, and saves the event. Returns the number of changed memories, and the id of the event.
    pub(crate) async fn update_batch(
        self: &Arc<Self>,
        caller: Caller,
        changes: Vec<(MemoryId, UpdateRequest)>,
    ) -> Result<(usize, String), Problem> {
        let event = Event::new(RequestKind::Update, json!({"memories": changes.len()}));
        self.with_webhooks(move |app| {
            let ids: Vec<MemoryId> = changes.iter().map(|(id, _)| *id).collect();
            let memories = app.own_memories(&caller, &ids)?;
            for ((_, request), memory) in changes.iter().zip(&memories) {
                check_mutable(memory)?;
                request.check().map_err(|error| refused(memory.id, &error))?;
            }
            let updated = app.engine.update_batch(&changes)?;
            let results = updated.iter().map(|memory| EventResult::new(EventKind::Update, memory)).collect();
            let event_id = app.events.save(event.succeeded(results), common_user(&memories).as_deref());
            let events = updated.iter().map(|memory| MemoryEvent::new(EventKind::Update, memory)).collect();
            Ok((events, (changes.len(), event_id)))
        })
        .await
    }

    /// Deletes memories of the caller, and saves the event. Returns the number of deleted memories, and the id of the
    /// event.
    pub(crate) async fn delete_batch(
        self: &Arc<Self>,
        caller: Caller,
        ids: Vec<MemoryId>,
    ) -> Result<(usize, String), Problem> {
        let event = Event::new(RequestKind::Delete, json!({"memories": ids.len()}));
        self.with_webhooks(move |app| {
            let memories = app.own_memories(&caller, &ids)?;
            app.engine.delete_batch(&ids)?;
            let results = memories.iter().map(|memory| EventResult::new(EventKind::Delete, memory)).collect();
            let event_id = app.events.save(event.succeeded(results), common_user(&memories).as_deref());
            let events = memories.iter().map(|memory| MemoryEvent::new(EventKind::Delete, memory)).collect();
            Ok((events, (memories.len(), event_id)))
        })
        .await
    }

    /// The caller's memories with these ids, in this order. The first id that is unknown, or not the caller's, is
    /// refused.
    fn own_memories(&self, caller: &Caller, ids: &[MemoryId]) -> Result<Vec<Memory>, Problem> {
        let found = self.engine.store().get(ids)?;
        let own = |(id, memory): (&MemoryId, Option<Memory>)| {
            caller.check_owner(memory.ok_or_else(|| Problem::memory_not_found(id))?)
        };
        ids.iter().zip(found).map(own).collect()
    }
}

/// The answer to a batch with an invalid change.
fn refused(id: MemoryId, error: &EngineError) -> Problem {
    Problem::bad_request(format!("memory {id}: {error}; nothing was changed"))
}

/// The user who owns all of the memories, if it is one user.
fn common_user(memories: &[Memory]) -> Option<String> {
    let first = memories.first()?.payload.scope().user_id?;
    memories.iter().all(|memory| memory.payload.scope().user_id.as_ref() == Some(&first)).then_some(first)
}
