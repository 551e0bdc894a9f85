//! What happened to a memory, and the messages a session saw: mem0's `history.db`, column by column.

use uuid::Uuid;

use crate::{MemoryId, Payload, keys};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The memory was stored.
    Add,
    /// Its text, metadata or expiration changed.
    Update,
    /// It was deleted.
    Delete,
}

impl EventKind {
    /// mem0's name: `ADD`, `UPDATE`, `DELETE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// A row of mem0's `history` table. Text columns of old databases may hold anything; they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEvent {
    /// Unique id of the row.
    pub id: String,
    /// The memory it is about.
    pub memory_id: String,
    /// The text before.
    pub old_memory: Option<String>,
    /// The text after.
    pub new_memory: Option<String>,
    /// `ADD`, `UPDATE`, `DELETE`.
    pub event: String,
    /// When the memory was created, RFC 3339.
    pub created_at: Option<String>,
    /// When this happened, where it is no `ADD`.
    pub updated_at: Option<String>,
    /// Whether the memory was gone after this.
    pub is_deleted: bool,
    /// Who spoke.
    pub actor_id: Option<String>,
    /// The message's role.
    pub role: Option<String>,
}

/// A row of mem0's `messages` table: what a session said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMessage {
    /// Unique id of the row.
    pub id: String,
    /// [`crate::Scope::session_scope`].
    pub session_scope: String,
    /// `user`, `assistant`, ….
    pub role: Option<String>,
    /// The text.
    pub content: Option<String>,
    /// The speaker's name.
    pub name: Option<String>,
    /// When it was said, RFC 3339.
    pub created_at: Option<String>,
}

impl HistoryEvent {
    /// The row for a deletion at `now` (RFC 3339).
    pub fn deleted(id: MemoryId, payload: &Payload, now: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            memory_id: id.to_string(),
            old_memory: Some(payload.text().to_owned()),
            new_memory: None,
            event: EventKind::Delete.as_str().to_owned(),
            created_at: payload.str(keys::CREATED_AT).map(str::to_owned),
            updated_at: Some(now.to_owned()),
            is_deleted: true,
            actor_id: payload.str(keys::ACTOR_ID).map(str::to_owned),
            role: payload.str(keys::ROLE).map(str::to_owned),
        }
    }
}
