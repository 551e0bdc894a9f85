//! History rows and session messages, with the columns of mem0's `history.db`.

use uuid::Uuid;

use crate::{Memory, Scope, keys};

/// The kind of an event in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The memory was stored.
    Add,
    /// Its text, metadata or expiration date changed.
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

/// A row of mem0's `history` table. Text columns of old databases may hold any value; values are kept unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEvent {
    /// Unique id of the row.
    pub id: String,
    /// The id of the memory.
    pub memory_id: String,
    /// The text before the event.
    pub old_memory: Option<String>,
    /// The text after the event.
    pub new_memory: Option<String>,
    /// `ADD`, `UPDATE`, `DELETE`.
    pub event: String,
    /// When the memory was created, RFC 3339.
    pub created_at: Option<String>,
    /// When the event happened, RFC 3339; absent for `ADD`.
    pub updated_at: Option<String>,
    /// Whether the memory was deleted by this event.
    pub is_deleted: bool,
    /// The name of the speaker.
    pub actor_id: Option<String>,
    /// The role of the message.
    pub role: Option<String>,
    /// The owner of the memory; empty if the writer did not store it. mem0 has no such columns.
    pub scope: Scope,
}

/// A row of mem0's `messages` table: one message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMessage {
    /// Unique id of the row.
    pub id: String,
    /// The owner, as [`crate::Scope::session_scope`] writes it.
    pub session_scope: String,
    /// `user`, `assistant`, ….
    pub role: Option<String>,
    /// The text.
    pub content: Option<String>,
    /// The name of the speaker.
    pub name: Option<String>,
    /// When the message was sent, RFC 3339.
    pub created_at: Option<String>,
}

impl HistoryEvent {
    /// The row for a memory that was stored at `now` (RFC 3339).
    pub fn added(memory: &Memory, now: &str) -> Self {
        Self { created_at: Some(now.to_owned()), updated_at: None, ..Self::of(EventKind::Add, None, Some(memory), now) }
    }

    /// The row for a memory that was changed at `now`.
    pub fn updated(old: &Memory, new: &Memory, now: &str) -> Self {
        Self::of(EventKind::Update, Some(old), Some(new), now)
    }

    /// The row for a memory that was deleted at `now`.
    pub fn deleted(memory: &Memory, now: &str) -> Self {
        Self::of(EventKind::Delete, Some(memory), None, now)
    }

    fn of(event: EventKind, old: Option<&Memory>, new: Option<&Memory>, now: &str) -> Self {
        let text = |memory: Option<&Memory>| memory.map(|memory| memory.payload.text().to_owned());
        let latest = new.or(old);
        let field = |key: &str| latest.and_then(|memory| memory.payload.str(key)).map(str::to_owned);
        Self {
            id: Uuid::new_v4().to_string(),
            memory_id: latest.map(|memory| memory.id.to_string()).unwrap_or_default(),
            old_memory: text(old),
            new_memory: text(new),
            event: event.as_str().to_owned(),
            created_at: field(keys::CREATED_AT),
            updated_at: Some(now.to_owned()),
            is_deleted: event == EventKind::Delete,
            actor_id: field(keys::ACTOR_ID),
            role: field(keys::ROLE),
            scope: latest.map(|memory| memory.payload.scope()).unwrap_or_default(),
        }
    }
}
