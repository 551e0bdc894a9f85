//! The report of a rebuild.

use crate::sync::SyncReport;

/// What a rebuild did.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Each sync pass; the first one copies most.
    pub passes: Vec<SyncReport>,
    /// The number of entities in the target.
    pub entities: u64,
    /// Whether entities were written, which needs an embedder with the collection's dims.
    pub with_entities: bool,
    /// The number of imported rows of the history; `None` if it was not asked for.
    pub history: Option<usize>,
}
