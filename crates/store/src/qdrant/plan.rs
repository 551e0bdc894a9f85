//! A plan: a change set resolved to fixed ids, so that applying it twice has the same effect as applying it once.

use std::collections::BTreeSet;

use crate::{Entity, HistoryEvent, Link, Memory, MemoryId, Scope, SessionMessage, Sparse, Terms};

/// A change set resolved to fixed ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The final state of the written points, in the order of their first write.
    pub(super) points: Vec<PlannedPoint>,
    /// Points to remove. A point that is also written gets a new position in lists.
    pub(super) removed: Vec<MemoryId>,
    /// New terms of memories that do not change otherwise.
    pub(super) terms: Vec<(MemoryId, Terms)>,
    /// Memories to remove from all entities, before the rest of the plan.
    pub(super) unlinked: Vec<MemoryId>,
    /// Entities to create, or to link to more memories.
    pub(super) entities: Vec<Entity>,
    /// Those of the entities that have new ids and so can't exist. Known only when the plan is applied for the first time.
    pub(super) new_entities: BTreeSet<MemoryId>,
    /// Those of the entities that existed when the plan was applied for the first time; unknown before.
    pub(super) known_entities: BTreeSet<MemoryId>,
    /// Changes to rows of the ledger, in order.
    pub(super) ledger_changes: Vec<LedgerChange>,
}

/// A point and the values that the ledger keeps of it.
#[derive(Clone, Debug)]
pub(super) struct PlannedPoint {
    pub(super) memory: Memory,
    pub(super) vector: Vec<f32>,
    pub(super) bm25: Sparse,
    pub(super) terms: Terms,
    pub(super) holds_time_word: bool,
}

/// A change to rows of the ledger.
#[derive(Clone, Debug)]
pub(super) enum LedgerChange {
    AddLink(Link),
    /// Deletes all links of a memory.
    DeleteLinks(MemoryId),
    AddHistory(Box<HistoryEvent>),
    AddMessage(Box<SessionMessage>),
}

impl Plan {
    /// The scopes of the written points and entities. The scopes of removed and replaced points are in the ledger.
    pub(super) fn scopes(&self) -> BTreeSet<Scope> {
        let points = self.points.iter().map(|point| point.memory.payload.scope());
        points.chain(self.entities.iter().map(|entity| entity.payload.scope())).collect()
    }
}
