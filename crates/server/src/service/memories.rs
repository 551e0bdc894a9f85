//! Memories one by one: add, read, list, change and delete, within the caller's scope and with events for webhooks.

use std::collections::HashMap;
use std::sync::Arc;

use mnemon_engine::{
    AddRequest, AddedMemory, Engine, EngineError, Event, EventResult, Replacement, RequestKind, UpdateRequest,
};
use mnemon_store::{EventKind, HistoryEvent, Memory, MemoryId, StoreError};
use serde_json::json;

use super::app::App;
use super::webhooks::MemoryEvent;
use crate::auth::Caller;
use crate::error::Problem;

impl App {
    /// Stores messages verbatim. The scope of the request must come from [`Caller::scope`].
    pub(crate) async fn add(self: &Arc<Self>, request: AddRequest) -> Result<Vec<AddedMemory>, Problem> {
        self.with_webhooks(move |app| {
            let owner = request.scope.user_id.clone();
            let added = app.engine.add(request)?;
            Ok((MemoryEvent::added(&added, owner.as_deref()), added))
        })
        .await
    }

    /// The same, and saves the event. Returns the id of the event and the memories.
    pub(crate) async fn add_with_event(
        self: &Arc<Self>,
        request: AddRequest,
    ) -> Result<(String, Vec<AddedMemory>), Problem> {
        let event =
            Event::new(RequestKind::Add, Event::describe_add(&request.scope, request.fields.app_id.as_deref(), false));
        self.with_webhooks(move |app| {
            let owner = request.scope.user_id.clone();
            let owner = owner.as_deref();
            let added = app.engine.add(request)?;
            let event_id = app.events.save(event.succeeded(EventResult::added(&added, owner)), owner);
            Ok((MemoryEvent::added(&added, owner), (event_id, added)))
        })
        .await
    }

    /// A memory of the caller.
    pub(crate) async fn get(&self, caller: &Caller, id: MemoryId) -> Result<Memory, Problem> {
        let memory = self.with_engine(move |engine| Ok(engine.get(id)?)).await?;
        caller.check_owner(memory)
    }

    /// The facts before and after these memories of the caller.
    pub(crate) async fn replacements(
        &self,
        caller: &Caller,
        ids: Vec<MemoryId>,
    ) -> Result<HashMap<MemoryId, Replacement>, Problem> {
        let caller = caller.clone();
        let is_visible = move |memory: &Memory| caller.owns(&memory.payload.scope());
        self.with_engine(move |engine| Ok(engine.replacements(&ids, &is_visible)?)).await
    }

    /// Changes a memory of the caller.
    pub(crate) async fn update(
        self: &Arc<Self>,
        caller: &Caller,
        id: MemoryId,
        request: UpdateRequest,
    ) -> Result<(), Problem> {
        let caller = caller.clone();
        self.with_webhooks(move |app| {
            check_mutable(&app.own_memory(&caller, id)?)?;
            let memory = app.engine.update(id, &request)?;
            Ok((vec![MemoryEvent::new(EventKind::Update, &memory)], ()))
        })
        .await
    }

    /// Changes a memory of the caller, saves the event, and returns the memory as it is now.
    pub(crate) async fn update_with_event(
        self: &Arc<Self>,
        caller: Caller,
        id: MemoryId,
        request: UpdateRequest,
    ) -> Result<Memory, Problem> {
        let event = Event::new(RequestKind::Update, json!({"memory_id": id.to_string()}));
        self.with_webhooks(move |app| {
            let old = app.own_memory(&caller, id)?;
            check_mutable(&old)?;
            let memory = app.engine.update(id, &request)?;
            let result = EventResult::new(EventKind::Update, &memory);
            app.events.save(event.succeeded(vec![result]), memory.payload.scope().user_id.as_deref());
            Ok((vec![MemoryEvent::new(EventKind::Update, &memory)], memory))
        })
        .await
    }

    /// Deletes a memory of the caller.
    pub(crate) async fn delete(self: &Arc<Self>, caller: &Caller, id: MemoryId) -> Result<(), Problem> {
        let caller = caller.clone();
        self.with_webhooks(move |app| {
            let memory = app.own_memory(&caller, id)?;
            app.engine.delete(id)?;
            Ok((vec![MemoryEvent::new(EventKind::Delete, &memory)], ()))
        })
        .await
    }

    /// Deletes a memory of the caller and, with `linked`, the caller's memories that it links to, and saves the event.
    /// Returns the number of linked memories that were deleted, and the id of the event.
    pub(crate) async fn delete_with_event(
        self: &Arc<Self>,
        caller: Caller,
        id: MemoryId,
        linked: bool,
    ) -> Result<(usize, String), Problem> {
        let event = Event::new(RequestKind::Delete, json!({"memory_id": id.to_string(), "delete_linked": linked}));
        self.with_webhooks(move |app| {
            let mut memories = vec![app.own_memory(&caller, id)?];
            if linked {
                memories.extend(app.linked_memories(&caller, id)?);
            }
            let owner = memories[0].payload.scope().user_id;
            let mut deleted = Vec::new();
            for memory in memories {
                match app.engine.delete(memory.id) {
                    Ok(()) => deleted.push(memory),
                    // Another request may have deleted a linked memory in the meantime.
                    Err(_) if !deleted.is_empty() && !app.exists(memory.id)? => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let results = deleted.iter().map(|memory| EventResult::new(EventKind::Delete, memory)).collect();
            let event_id = app.events.save(event.succeeded(results), owner.as_deref());
            let events = deleted.iter().map(|memory| MemoryEvent::new(EventKind::Delete, memory)).collect();
            Ok((events, (deleted.len() - 1, event_id)))
        })
        .await
    }

    /// The caller's memories that a memory links to. Blocks.
    fn linked_memories(&self, caller: &Caller, id: MemoryId) -> Result<Vec<Memory>, Problem> {
        let mut targets: Vec<MemoryId> = Vec::new();
        for link in self.engine.store().links_of(id)? {
            if link.source == id && link.target != id && !targets.contains(&link.target) {
                targets.push(link.target);
            }
        }
        let found = self.engine.store().get(&targets)?;
        Ok(found.into_iter().flatten().filter(|memory| caller.owns(&memory.payload.scope())).collect())
    }

    fn exists(&self, id: MemoryId) -> Result<bool, Problem> {
        Ok(self.engine.store().get(&[id])?.pop().flatten().is_some())
    }

    /// A memory of the caller, expired or not. Blocks.
    pub(crate) fn own_memory(&self, caller: &Caller, id: MemoryId) -> Result<Memory, Problem> {
        let found = self.engine.store().get(&[id])?.pop().flatten();
        caller.check_owner(found.ok_or(EngineError::Store(StoreError::NotFound(id)))?)
    }

    /// Runs a change, and enqueues its webhook events before it is acknowledged.
    pub(super) async fn with_webhooks<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Self) -> Result<(Vec<MemoryEvent>, T), Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = self.clone();
        self.blocking(move || {
            let (events, answer) = change(&app)?;
            app.webhooks.enqueue(&events);
            Ok(answer)
        })
        .await?
    }
}

/// The history of a memory, oldest first. Empty if the id is unknown or the memory is not the caller's. Blocks.
pub(crate) fn visible_history(engine: &Engine, caller: &Caller, id: MemoryId) -> Result<Vec<HistoryEvent>, Problem> {
    let visible = match engine.scope_of(id)? {
        Some(scope) => caller.owns(&scope),
        None => caller.is_admin(),
    };
    Ok(if visible { engine.history(id)? } else { Vec::new() })
}

/// Refuses a change of a memory that was stored as immutable.
pub(super) fn check_mutable(memory: &Memory) -> Result<(), Problem> {
    if memory.payload.is_immutable() {
        return Err(
            Problem::bad_request(format!("Memory {} is immutable.", memory.id)).hint("Delete it and add a new one.")
        );
    }
    Ok(())
}
