//! What can go wrong in a migration.

use std::path::PathBuf;

use mnemon_engine::EngineError;
use mnemon_store::StoreError;

/// The result of a phase's work.
pub type Result<T, E = MigrateError> = std::result::Result<T, E>;

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
    /// Qdrant does not answer, or not as it should.
    #[error("Qdrant at {url}: {reason}")]
    Server {
        /// Its REST address.
        url: String,
        /// What it said or did, and what helps.
        reason: String,
    },
    /// A disk has no room; what was written until then stays, and a second run goes on from there.
    #[error("no room for {}{}; make room and run it again: it goes on where it stopped", path.display(), describe_space(*.needs, *.free))]
    NoSpace {
        /// What was to be written.
        path: PathBuf,
        /// Bytes that are still to come, where that is known.
        needs: Option<u64>,
        /// Bytes that are free, where the system says.
        free: Option<u64>,
    },
    /// A download is not what the server says it is.
    #[error("{} has the SHA-256 {found}, the server said {expected}: the snapshot or its way here is damaged. The download was removed; run it again for a new snapshot", path.display())]
    Checksum {
        /// Where it was to go.
        path: PathBuf,
        /// What the server said.
        expected: String,
        /// What came.
        found: String,
    },
    /// mem0's history can't be copied.
    #[error("{} can't be copied as mem0's history.db: {reason}", path.display())]
    History {
        /// The database.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The target's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn describe_space(needs: Option<u64>, free: Option<u64>) -> String {
    match (needs, free) {
        (Some(needs), Some(free)) => format!(": {needs} bytes more are needed, {free} are free"),
        (Some(needs), None) => format!(": {needs} bytes more are needed"),
        (None, Some(free)) => format!(": {free} bytes are free"),
        (None, None) => String::new(),
    }
}

/// The error of a thread that panicked.
pub(crate) fn worker_panicked(_: Box<dyn std::any::Any + Send>) -> MigrateError {
    MigrateError::Unfit("a step of the copy ended of itself: run it again, and report it".into())
}
