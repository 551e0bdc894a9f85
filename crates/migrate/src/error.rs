//! What can go wrong in a migration.

use std::path::PathBuf;

use mnemon_engine::EngineError;
use mnemon_store::StoreError;

/// Any failure of a phase. The source is never changed by one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no snapshot that can be read here; the text says what it is and what to do.
    #[error("{} can't be read as a snapshot of a Qdrant collection: {reason}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What was found, and what helps.
        reason: String,
    },
    /// The source is not what it must be; the text says what to change.
    #[error("{0}")]
    Unfit(String),
    /// It was refused so that nothing is lost; the text says what to do first.
    #[error("{0}")]
    Refused(String),
    /// Another process works on the same migration.
    #[error("another `mnemon migrate` works on {}: wait for its end", .0.display())]
    Busy(PathBuf),
    /// What is to be switched could not be; the text says why.
    #[error("{0}")]
    Switch(String),
    /// The target's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
