//! The parts of a phase. Each has its own result, so a phase that was interrupted continues with those that are left.

use serde::{Deserialize, Serialize};

/// A part of a migration's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Ids, vectors and payloads.
    Points,
    /// Lemmas and sparse vectors.
    SparseVectors,
    /// Entities, with their links to memories.
    Entities,
    /// The rows of mem0's history database.
    History,
}

impl Part {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::SparseVectors => "sparse vectors",
            Self::Entities => "entities",
            Self::History => "history",
        }
    }
}

/// How far a part of a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Not done yet.
    Pending,
    /// Done.
    Done,
    /// The last run failed, or found differences.
    Failed,
    /// Not asked for, or not possible.
    LeftOut,
}

/// The result of a part in the last run of its phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartResult {
    /// How far it is.
    pub state: PartState,
    /// Counts, or the reason of a failure, for messages.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl PartResult {
    /// A result.
    pub fn new(state: PartState, detail: impl Into<String>) -> Self {
        Self { state, detail: detail.into() }
    }
}
