//! What happened to a memory, and the messages a session saw: mem0's `history.db`, column by column.

use uuid::Uuid;

use crate::{Memory, Scope, keys};

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
    /// Whose memory it was; empty where the writer did not say. mem0 has no such column.
    pub scope: Scope,
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
    /// The row for a memory that was stored at `now` (RFC 3339).
    pub fn added(memory: &Memory, now: &str) -> Self {
        Self { created_at: Some(now.to_owned()), updated_at: None, ..Self::of(EventKind::Add, None, Some(memory), now) }
    }

    /// The row for a change at `now`.
    pub fn updated(old: &Memory, new: &Memory, now: &str) -> Self {
        Self::of(EventKind::Update, Some(old), Some(new), now)
    }

    /// The row for a deletion at `now`.
    pub fn deleted(memory: &Memory, now: &str) -> Self {
        Self::of(EventKind::Delete, Some(memory), None, now)
    }

    fn of(event: EventKind, old: Option<&Memory>, new: Option<&Memory>, now: &str) -> Self {
        let text = |memory: Option<&Memory>| memory.map(|memory| memory.payload.text().to_owned());
        let known = new.or(old);
        let field = |key: &str| known.and_then(|memory| memory.payload.str(key)).map(str::to_owned);
        Self {
            id: Uuid::new_v4().to_string(),
            memory_id: known.map(|memory| memory.id.to_string()).unwrap_or_default(),
            old_memory: text(old),
            new_memory: text(new),
            event: event.as_str().to_owned(),
            created_at: field(keys::CREATED_AT),
            updated_at: Some(now.to_owned()),
            is_deleted: event == EventKind::Delete,
            actor_id: field(keys::ACTOR_ID),
            role: field(keys::ROLE),
            scope: known.map(|memory| memory.payload.scope()).unwrap_or_default(),
        }
    }
}
