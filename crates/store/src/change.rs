//! Change sets: all changes of one write.

use crate::{Entity, HistoryEvent, Link, MemoryId, Record, Scope, SessionMessage, Terms};

/// Version of a scope. Every write to the scope changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeVersion(pub(crate) [i64; 3]);

/// Changes that are committed together or not at all.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    /// The changes are applied only if these scopes still have these versions; else the result is
    /// [`crate::StoreError::Conflict`].
    pub expected: Vec<(Scope, ScopeVersion)>,
    /// The changes, applied in this order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Stores a new memory with its vectors, terms and mentions.
    Insert(Box<Record>),
    /// Replaces a memory. Its mentions are replaced, its links to other memories stay.
    Replace(Box<Record>),
    /// Replaces the terms of a memory whose context changed.
    SetTerms(MemoryId, Terms),
    /// Removes a memory with its vectors, terms and links, and the entities that no other memory mentions.
    Remove(MemoryId),
    /// Stores an entity with its id, its vector and its memories. If the id exists, only the memories are added.
    InsertEntity(Box<Entity>),
    /// Links two memories. If the link exists, it does not change.
    Link(Link),
    /// Adds a row to the history.
    History(Box<HistoryEvent>),
    /// Adds a message to its session.
    Message(Box<SessionMessage>),
}
