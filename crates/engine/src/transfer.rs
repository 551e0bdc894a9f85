//! Export and import: everything a store holds as lines of JSON, and what comes from elsewhere.

mod chat;
mod export;
mod import;
mod line;
mod points;
mod restore;

use std::path::Path;

use mnemon_store::Scope;

/// Records read or written in one commit.
const BATCH: usize = 512;

/// How many records of each kind went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferCounts {
    /// Memories.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Links between memories.
    pub links: usize,
    /// Rows of the history.
    pub history: usize,
    /// Messages of sessions.
    pub messages: usize,
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Whose the memories are, for formats that do not say: text and chat.
    pub scope: Option<Scope>,
    /// The session they belong to, for chat.
    pub session: Option<String>,
    /// Compute vectors anew, for an export made with another embedder.
    pub reembed: bool,
}

/// What a file was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// Our own export.
    Export,
    /// Points of a mem0 collection: `{"id", "payload", "vector"?}` a line.
    Points,
    /// mem0's `history.db`.
    HistoryDb,
    /// Chat messages as JSON or JSON lines.
    Chat,
    /// Plain text, a memory a line.
    Text,
}

impl ImportFormat {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Points => "points",
            Self::HistoryDb => "history_db",
            Self::Chat => "chat",
            Self::Text => "text",
        }
    }
}

/// What an import did.
#[derive(Clone, Debug)]
pub struct ImportReport {
    /// What the file was taken for.
    pub format: ImportFormat,
    /// What was stored.
    pub stored: TransferCounts,
    /// Memories that were there already, equal in all.
    pub unchanged: usize,
    /// What was not stored, and why.
    pub refused: Vec<RejectedRecord>,
}

impl ImportReport {
    fn new(format: ImportFormat) -> Self {
        Self { format, stored: TransferCounts::default(), unchanged: 0, refused: Vec::new() }
    }
}

/// A line that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> crate::EngineError {
    let what = path.display().to_string();
    move |source| crate::EngineError::Io { what: what.clone(), source }
}
