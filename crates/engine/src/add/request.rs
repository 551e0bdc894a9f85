//! A request to add messages, and its result.

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_store::{MemoryId, Role, Scope, Store, StoreError};
use serde_json::{Map, Value};

use crate::error::{EngineError, Result};
use crate::fields::PlatformFields;
use crate::message::Message;
use crate::validate::{check_depth, check_filterable, check_metadata, check_metadata_size, check_text};

/// Messages to store as memories, and their owner.
#[derive(Clone, Debug, Default)]
pub struct AddRequest {
    /// The owner.
    pub scope: Scope,
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// The caller's own keys, stored with each memory. Reserved keys are rejected.
    pub metadata: Map<String, Value>,
    /// Fields beside the metadata.
    pub fields: PlatformFields,
    /// The time of the messages; the current time if absent.
    pub timestamp: Option<Timestamp>,
    /// The session of the messages. If absent: the scope's latest session, unless the pause since then is longer than
    /// [`EngineConfig::session_gap`](crate::EngineConfig::session_gap).
    pub session: Option<String>,
    /// Stores facts without order: in no session, and without context.
    pub unordered: bool,
    /// The last day on which the memories are shown.
    pub expiration_date: Option<Date>,
    /// Whether surfaces refuse changes of the memories.
    pub immutable: bool,
    /// Skips a message if a memory of exactly this scope has the same text.
    pub skip_duplicates: bool,
    /// Links from each new memory to existing ones: (target, kind).
    pub links: Vec<(MemoryId, String)>,
}

impl AddRequest {
    /// Checks whether the request can be served.
    pub(crate) fn check(&self, store: &dyn Store) -> Result<()> {
        if self.scope.is_empty() {
            return Err(EngineError::invalid("at least one of user_id, agent_id, run_id is required"));
        }
        if self.messages.is_empty() {
            return Err(EngineError::invalid("`messages` is empty"));
        }
        if self.session.as_deref().is_some_and(|session| session.trim().is_empty()) {
            return Err(EngineError::invalid("the session's name is empty; leave it out or give a name"));
        }
        check_metadata(&self.metadata)?;
        check_filterable(&self.metadata, None)?;
        if let Some(attributes) = &self.fields.structured_attributes {
            check_depth(attributes).map_err(|fault| EngineError::invalid(format!("structured_attributes {fault}")))?;
            check_metadata_size(attributes, 0)?;
        }
        for (target, _) in &self.links {
            self.check_link(store, *target)?;
        }
        // An empty text beside others is skipped; alone it is a mistake.
        let has_text = self.messages.iter().any(|message| !message.is_blank());
        for (index, message) in self.messages.iter().enumerate() {
            let is_skipped = message.is_wordless() || (has_text && message.is_blank());
            if !is_skipped {
                check_text(&message.content)
                    .map_err(|fault| EngineError::invalid(format!("messages[{index}] {fault}")))?;
            }
            if message.role.as_str().trim().is_empty() {
                return Err(EngineError::invalid(format!(
                    "messages[{index}].role: is empty; give `user` or `assistant`"
                )));
            }
        }
        Ok(())
    }

    /// What of the messages is not stored, as a sentence for the caller: messages without words and parts without text, and
    /// instructions if nothing else was sent. `None` if there is nothing of the kind.
    pub fn skipped(&self) -> Option<String> {
        let count = |is_skipped: &dyn Fn(&&Message) -> bool| self.messages.iter().filter(is_skipped).count();
        let instructions = match self.messages.iter().any(Message::is_stored) {
            true => 0,
            false => count(&|message| message.role.is_instruction()),
        };
        let wordless = count(&|message| !message.role.is_instruction() && message.is_blank());
        let parts: usize =
            self.messages.iter().filter(|message| message.is_stored()).map(|message| message.unread_parts).sum();
        let phrases: Vec<String> = [
            (instructions, "instruction of the application", "instructions of the application"),
            (wordless, "message without text (a tool call, an image)", "messages without text (tool calls, images)"),
            (parts, "part of a message without text", "parts of messages without text"),
        ]
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
        (!phrases.is_empty()).then(|| format!("not stored: {}", phrases.join(", ")))
    }

    /// Checks that the target of a link exists and has the same owner.
    pub(crate) fn check_link(&self, store: &dyn Store, target: MemoryId) -> Result<()> {
        let memory = store.get(&[target])?.pop().flatten();
        if memory.is_some_and(|memory| carries_ids_of(&memory.payload.scope(), &self.scope)) {
            Ok(())
        } else {
            Err(StoreError::NotFound(target).into())
        }
    }
}

/// Whether a scope has all ids of another one.
fn carries_ids_of(scope: &Scope, other: &Scope) -> bool {
    scope.ids().iter().zip(other.ids()).all(|(own, other)| other.is_none() || *own == other)
}

/// A memory that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedMemory {
    /// Its id.
    pub id: MemoryId,
    /// Its text.
    pub memory: String,
    /// The speaker's name.
    pub actor_id: Option<String>,
    /// The role of the message, or the role that made the statement of an extracted fact.
    pub role: Role,
    /// Indexes of its source messages in the request, ascending.
    pub sources: Vec<usize>,
}
