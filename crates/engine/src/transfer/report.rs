//! The results of exports and imports.

use super::format::ImportFormat;

/// The number of transferred records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferCounts {
    /// Memories.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Links between memories.
    pub links: usize,
    /// History events.
    pub history: usize,
    /// Messages of sessions.
    pub messages: usize,
}

/// The result of an import.
#[derive(Clone, Debug)]
pub struct ImportReport {
    /// The detected format of the file.
    pub format: ImportFormat,
    /// The numbers of stored records.
    pub stored: TransferCounts,
    /// Memories that were in the store already, with the same content.
    pub unchanged: usize,
    /// Messages that are not stored: instructions, and messages without words, such as tool calls.
    pub skipped: usize,
    /// The records that were not stored.
    pub refused: Vec<RejectedRecord>,
}

impl ImportReport {
    pub(super) fn new(format: ImportFormat) -> Self {
        Self { format, stored: TransferCounts::default(), unchanged: 0, skipped: 0, refused: Vec::new() }
    }
}

/// A record that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its line number, from 1.
    pub line: usize,
    /// Why it was not stored.
    pub reason: Rejection,
}

/// Why a record was not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not name its owner, and the import has none for it.
    #[error("the file does not name the owner of the memories")]
    NoOwner,
    /// A value is not valid, or the store has another record with the id. The text names the value.
    #[error("{0}")]
    Invalid(String),
}

impl From<String> for Rejection {
    fn from(text: String) -> Self {
        Self::Invalid(text)
    }
}
