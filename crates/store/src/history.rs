//! History rows and session messages, with the columns of mem0's `history.db`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Memory, Role, Scope, keys};

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
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Add, Self::Update, Self::Delete];

    /// mem0's name: `ADD`, `UPDATE`, `DELETE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// The `event` of a row in the history. Another program may have written any text, which is kept unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EventName {
    /// A kind of event that mem0 and Mnemon write.
    Known(EventKind),
    /// Another text.
    Other(String),
}

impl EventName {
    /// The text in the row.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(kind) => kind.as_str(),
            Self::Other(name) => name,
        }
    }
}

impl From<EventKind> for EventName {
    fn from(kind: EventKind) -> Self {
        Self::Known(kind)
    }
}

impl From<String> for EventName {
    fn from(name: String) -> Self {
        let known = EventKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.map_or(Self::Other(name), Self::Known)
    }
}

impl From<EventName> for String {
    fn from(name: EventName) -> Self {
        match name {
            EventName::Known(kind) => kind.as_str().to_owned(),
            EventName::Other(name) => name,
        }
    }
}

/// A row of mem0's `history` table. Text columns of old databases may hold any value; values are kept unchanged. Its
/// JSON has the columns of mem0, without the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub event: EventName,
    /// When the memory was created, RFC 3339.
    pub created_at: Option<String>,
    /// When the event happened, RFC 3339; absent for `ADD`.
    pub updated_at: Option<String>,
    /// Whether the memory was deleted by this event.
    #[serde(default, deserialize_with = "is_true")]
    pub is_deleted: bool,
    /// The name of the speaker.
    pub actor_id: Option<String>,
    /// The role of the message.
    pub role: Option<Role>,
    /// The owner of the memory; empty if the writer did not store it. mem0 has no such columns.
    #[serde(skip)]
    pub scope: Scope,
}

/// A row of mem0's `messages` table: one message of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// Unique id of the row.
    pub id: String,
    /// The owner, as [`crate::Scope::session_scope`] writes it.
    pub session_scope: String,
    /// The role of its author.
    pub role: Option<Role>,
    /// The text.
    pub content: Option<String>,
    /// The name of the speaker.
    pub name: Option<String>,
    /// When the message was sent, RFC 3339.
    pub created_at: Option<String>,
}

/// Everything but `true` is false, such as the null of another writer.
fn is_true<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(value)? == Value::Bool(true))
}

impl HistoryEvent {
    /// The columns of text, in the order of [`HistoryEvent::texts`].
    pub(crate) const TEXT_COLUMNS: [&str; 9] =
        ["id", "memory_id", "old_memory", "new_memory", "event", "created_at", "updated_at", "actor_id", "role"];

    /// The values of the columns of text.
    pub(crate) fn texts(&self) -> [Option<&str>; Self::TEXT_COLUMNS.len()] {
        [
            Some(&self.id),
            Some(&self.memory_id),
            self.old_memory.as_deref(),
            self.new_memory.as_deref(),
            Some(self.event.as_str()),
            self.created_at.as_deref(),
            self.updated_at.as_deref(),
            self.actor_id.as_deref(),
            self.role.as_ref().map(Role::as_str),
        ]
    }

    /// The event with these values of the columns of text. Those that must not be null are empty if they are null.
    pub(crate) fn from_texts(
        texts: [Option<String>; Self::TEXT_COLUMNS.len()],
        is_deleted: bool,
        scope: Scope,
    ) -> Self {
        let [id, memory_id, old_memory, new_memory, event, created_at, updated_at, actor_id, role] = texts;
        Self {
            id: id.unwrap_or_default(),
            memory_id: memory_id.unwrap_or_default(),
            old_memory,
            new_memory,
            event: event.unwrap_or_default().into(),
            created_at,
            updated_at,
            is_deleted,
            actor_id,
            role: role.map(Role::from),
            scope,
        }
    }

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
            event: event.into(),
            created_at: field(keys::CREATED_AT),
            updated_at: Some(now.to_owned()),
            is_deleted: event == EventKind::Delete,
            actor_id: field(keys::ACTOR_ID),
            role: field(keys::ROLE).map(Role::from),
            scope: latest.map(|memory| memory.payload.scope()).unwrap_or_default(),
        }
    }
}

impl SessionMessage {
    /// The columns, in the order of [`SessionMessage::texts`].
    pub(crate) const COLUMNS: [&str; 6] = ["id", "session_scope", "role", "content", "name", "created_at"];

    /// The values of the columns.
    pub(crate) fn texts(&self) -> [Option<&str>; Self::COLUMNS.len()] {
        [
            Some(&self.id),
            Some(&self.session_scope),
            self.role.as_ref().map(Role::as_str),
            self.content.as_deref(),
            self.name.as_deref(),
            self.created_at.as_deref(),
        ]
    }

    /// The message with these values of the columns. Those that must not be null are empty if they are null.
    pub(crate) fn from_texts(texts: [Option<String>; Self::COLUMNS.len()]) -> Self {
        let [id, session_scope, role, content, name, created_at] = texts;
        Self {
            id: id.unwrap_or_default(),
            session_scope: session_scope.unwrap_or_default(),
            role: role.map(Role::from),
            content,
            name,
            created_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_other_programs_survive() {
        let row = |event: &str, role: Option<&str>| {
            json!({
                "id": "h", "memory_id": "1", "old_memory": null, "new_memory": "tea", "event": event, "created_at": null,
                "updated_at": null, "is_deleted": false, "actor_id": "Ana", "role": role,
            })
        };
        for (event, role) in
            [("ADD", None), ("UPDATE", Some("user")), ("DELETE", Some("tool")), ("add", Some("")), ("", None)]
        {
            let json = row(event, role);
            let read: HistoryEvent = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(json!(read), json);
            let texts = read.texts().map(|text| text.map(str::to_owned));
            assert_eq!(HistoryEvent::from_texts(texts, read.is_deleted, Scope::default()), read);
        }
        for kind in EventKind::ALL {
            assert_eq!(EventName::from(kind.as_str().to_owned()), EventName::Known(kind));
        }
        assert_eq!(EventName::from("add".to_owned()), EventName::Other("add".into()));
    }
}
