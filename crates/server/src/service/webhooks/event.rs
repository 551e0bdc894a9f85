//! Events of memories, as webhooks report them.

use mnemon_engine::AddedMemory;
use mnemon_store::{EventKind, Memory};
use serde_json::{Value, json};

/// A memory was added, changed or deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MemoryEvent {
    pub(crate) kind: EventKind,
    pub(crate) id: String,
    pub(crate) memory: String,
    /// The user who owns the memory.
    pub(crate) owner: Option<String>,
}

impl MemoryEvent {
    /// The event of a stored memory.
    pub(crate) fn new(kind: EventKind, memory: &Memory) -> Self {
        let Memory { id, payload, .. } = memory;
        Self { kind, id: id.to_string(), memory: payload.text().to_owned(), owner: payload.scope().user_id }
    }

    /// The events of memories that were added for one owner.
    pub(crate) fn added(added: &[AddedMemory], owner: Option<&str>) -> Vec<Self> {
        let event = |added: &AddedMemory| Self {
            kind: EventKind::Add,
            id: added.id.to_string(),
            memory: added.memory.clone(),
            owner: owner.map(str::to_owned),
        };
        added.iter().map(event).collect()
    }

    /// The body of a delivery, in the format of mem0's platform.
    pub(super) fn payload(&self) -> Value {
        json!({"event_details": {
            "id": self.id,
            "data": {"memory": self.memory},
            "event": self.kind.as_str(),
        }})
    }
}

/// The name of an event in a webhook's `event_types`.
pub(super) fn event_type(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Add => "memory_add",
        EventKind::Update => "memory_update",
        EventKind::Delete => "memory_delete",
    }
}
