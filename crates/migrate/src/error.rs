//! The errors of a migration.

mod refusal;

use std::path::PathBuf;

use mnemon_engine::{EngineError, ErrorCode};
use mnemon_store::StoreError;

pub use refusal::Refusal;

/// The result of an operation of a migration.
pub type Result<T, E = MigrateError> = std::result::Result<T, E>;

/// A failure of a phase. The source is never changed by it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a snapshot that can be read. The text says why and what to do.
    #[error("{} can't be read as a snapshot of a Qdrant collection: {reason}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why it can't be read, and what to do.
        reason: String,
    },
    /// The source, a file or a value is not valid. The text names it and the fault, and no flags; an error that
    /// a caller has to recognize gets its variant.
    #[error("{0}")]
    Invalid(String),
    /// The source does not exist.
    #[error("collection `{name}` does not exist at {server}")]
    NoSource {
        /// Its name.
        name: String,
        /// The server.
        server: String,
    },
    /// The state file of the migration is damaged.
    #[error("{} is not a valid state file of a migration ({reason})", path.display())]
    DamagedState {
        /// The file.
        path: PathBuf,
        /// Why it is not valid.
        reason: String,
    },
    /// The operation was refused to prevent the loss of data.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another process has locked the migration.
    #[error("another process is working on {}: wait until it ends", .0.display())]
    Busy(PathBuf),
    /// The switch to the other store failed. The text names the setting and says why.
    #[error("{0}")]
    SwitchFailed(String),
    /// A worker thread of the migration panicked.
    #[error("a worker thread of the migration panicked: report this error, and run it again")]
    WorkerPanicked,
    /// Qdrant is unavailable or returned an error.
    #[error("Qdrant at {url}: {reason}")]
    Server {
        /// Its REST address.
        url: String,
        /// What failed, and what to do.
        reason: String,
    },
    /// An address of Qdrant speaks another protocol. The text names it and the protocol.
    #[error("{0}")]
    WrongAddress(String),
    /// A disk is full. The written part stays, and another run continues from there.
    #[error("not enough disk space for {}{}; free disk space and run it again: it continues where it stopped", path.display(), describe_space(*.needs, *.free))]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
        /// The number of bytes still to be written, if it is known.
        needs: Option<u64>,
        /// The number of free bytes, if it is known.
        free: Option<u64>,
    },
    /// A download does not have the checksum that the server reported.
    #[error("{} has the SHA-256 {found}, but the server reported {expected}: the snapshot is damaged, or was damaged by the transfer. The download was removed; run it again to make a new snapshot", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The SHA-256 that the server reported.
        expected: String,
        /// The SHA-256 of the download.
        found: String,
    },
    /// mem0's history database can't be read.
    #[error("{} can't be read as mem0's history.db: {reason}", path.display())]
    History {
        /// The database.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The store of the source or the target failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl MigrateError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => ErrorCode::Full,
            Self::Io { .. } => ErrorCode::Io,
            Self::Snapshot { .. } => ErrorCode::NotASnapshot,
            Self::Invalid(_) | Self::NoSource { .. } | Self::DamagedState { .. } => ErrorCode::InvalidMigration,
            Self::Refused(_) | Self::Busy(_) => ErrorCode::Refused,
            Self::SwitchFailed(_) => ErrorCode::SwitchFailed,
            Self::WorkerPanicked => ErrorCode::Failed,
            Self::WrongAddress(_) => ErrorCode::DatastoreMisconfigured,
            Self::Server { .. } => ErrorCode::DatastoreUnavailable,
            Self::NoSpace { .. } => ErrorCode::Full,
            Self::Checksum { .. } => ErrorCode::Checksum,
            Self::History { .. } => ErrorCode::History,
            Self::Store(error) => error.into(),
            Self::Engine(error) => error.code(),
        }
    }
}

fn describe_space(needs: Option<u64>, free: Option<u64>) -> String {
    match (needs, free) {
        (Some(needs), Some(free)) => format!(": {needs} more bytes are needed, {free} bytes are free"),
        (Some(needs), None) => format!(": {needs} more bytes are needed"),
        (None, Some(free)) => format!(": {free} bytes are free"),
        (None, None) => String::new(),
    }
}

/// The error of a thread that panicked.
pub(crate) fn worker_panicked(_: Box<dyn std::any::Any + Send>) -> MigrateError {
    MigrateError::WorkerPanicked
}
