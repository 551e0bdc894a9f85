//! What a store is asked to write: change sets, all or nothing.

use crate::{Entity, HistoryEvent, Link, MemoryId, Record, Scope, SessionMessage, Terms};

/// Version of a scope: differs after any write that touched it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeVersion(pub(crate) [i64; 3]);

/// Writes that are committed together or not at all.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    /// The changes are only applied if these scopes are still at these versions; else [`crate::StoreError::Conflict`].
    pub expected: Vec<(Scope, ScopeVersion)>,
    /// In order.
    pub changes: Vec<Change>,
}

/// One write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Stores a new memory with its vectors, terms and entity links.
    Insert(Box<Record>),
    /// Replaces a memory; its entity links are made anew, its memory links stay.
    Replace(Box<Record>),
    /// Replaces the terms of a memory whose context changed.
    SetTerms(MemoryId, Terms),
    /// Removes a memory with its vectors, terms and links; entities nobody names any more go with it.
    Remove(MemoryId),
    /// Stores an entity as it is, with its links; if the id is there already, only the links are added.
    InsertEntity(Box<Entity>),
    /// Links two memories; an equal link is left as it is.
    Link(Link),
    /// Adds a row to the history.
    History(Box<HistoryEvent>),
    /// Adds a message to the session's.
    Message(Box<SessionMessage>),
}
