//! What can go wrong in a store.

use std::path::PathBuf;

use crate::filter::FilterError;
use crate::{InvalidId, MemoryId};

/// The result of a store's work.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Any failure of a store. Nothing was written when a write returns one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be opened, read or created.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else; it was not touched.
    #[error("{} is not a Mnemon store: {reason}. The file was left as it is; name another path with --store sqlite:PATH", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The file for a ledger is something else; it was not touched.
    #[error("{} is not a ledger of Mnemon: {reason}. The file was left as it is; name another path", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The file is damaged; it was not touched.
    #[error("{} is damaged: {reason}. The file was left as it is; restore it from a backup or an export", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A newer Mnemon wrote the file.
    #[error("{} has schema {found}, this mnemon knows up to {known}: use a newer mnemon", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// The store was filled by another embedder; its vectors can't be compared with this one's.
    #[error(
        "the store was written with embedder `{stored}` ({stored_dims} dims), this run uses `{given}` ({given_dims} dims): {}, or move the store to this one with `mnemon reembed`",
        settings_for(stored, *stored_dims)
    )]
    EmbedderMismatch {
        /// Fingerprint in the store.
        stored: String,
        /// Dims in the store.
        stored_dims: usize,
        /// Fingerprint asked for.
        given: String,
        /// Dims asked for.
        given_dims: usize,
    },
    /// The store is being moved to another embedder than the one asked for.
    #[error(
        "the store is being moved to embedder `{under_way}` ({under_way_dims} dims), not to `{asked}` ({asked_dims} dims): go on with that one, or give --restart to drop what is there and begin anew"
    )]
    Reembedding {
        /// Fingerprint that it is being moved to.
        under_way: String,
        /// Dims of that embedder.
        under_way_dims: usize,
        /// Fingerprint asked for.
        asked: String,
        /// Dims asked for.
        asked_dims: usize,
    },
    /// A move to another embedder can't go on as it is; the text says why.
    #[error("{0}")]
    Stalled(String),
    /// No room left.
    #[error("no space left for the store: nothing of this write was stored; free space and try again")]
    Full,
    /// Another process kept the store locked for too long.
    #[error("the store is locked by another process; nothing was written, try again")]
    Busy,
    /// The scope changed between reading and writing; read again and retry.
    #[error("the scope was changed by another writer at the same time")]
    Conflict,
    /// The id is taken.
    #[error("a memory with id {0} exists already")]
    Exists(MemoryId),
    /// No memory has the id.
    #[error("memory {0} was not found")]
    NotFound(MemoryId),
    /// The text is no id.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The scope ids are not usable.
    #[error("invalid scope: {0}")]
    InvalidScope(String),
    /// The filter is not usable.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The cursor is not one of ours.
    #[error("the cursor is not valid: pass on the one of the page before, or none for the first page")]
    InvalidCursor,
    /// A vector of the wrong length or with a value that is no number.
    #[error("a vector of {found} finite dims was given, the store has {expected}")]
    Dims {
        /// Dims of the store.
        expected: usize,
        /// Finite values given.
        found: usize,
    },
    /// A document that JSON parsers would refuse to read back.
    #[error("the document nests lists and objects more than {limit} levels deep; flatten it")]
    TooDeep {
        /// The most levels there may be.
        limit: usize,
    },
    /// Pages of the database contradict each other.
    #[error("the store's file is corrupt ({0}): restore it from a backup or an export")]
    Corrupt(String),
    /// The database reported something else.
    #[error("database: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A server the store needs does not answer. A write was not accepted.
    #[error("{server} does not answer: {reason}. Nothing was written; try again when it is back")]
    Unavailable {
        /// Which, and where: `Qdrant at http://localhost:6334`.
        server: String,
        /// What was seen.
        reason: String,
    },
    /// A server was lost in the middle of a commit: whether the write was accepted is not known.
    #[error("{server} was lost while it committed ({reason}). Look whether the write took place before it is repeated")]
    OutcomeUnknown {
        /// Which, and where.
        server: String,
        /// What was seen.
        reason: String,
    },
    /// A server the store needs is there, but is not what it must be; the text says what to change.
    #[error("{0}")]
    Unfit(String),
    /// Something that this kind of store can't hold; the text says what to change.
    #[error("{0}")]
    Unsupported(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        // No room for the log's shared memory.
        const IOERR_SHMSIZE: i32 = 4874;
        if error.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHMSIZE) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Database(error.into()),
        }
    }
}

/// What to set to have the embedder of this fingerprint.
fn settings_for(fingerprint: &str, dims: usize) -> String {
    let model = fingerprint.strip_prefix("openai:").and_then(|rest| rest.strip_suffix(&format!(":{dims}")));
    match model {
        Some(model) => format!("set MNEMON_EMBEDDER=openai:{model} and MNEMON_EMBEDDER_DIMS={dims}"),
        None if fingerprint.starts_with("static-") => "set MNEMON_EMBEDDER=builtin".into(),
        None if fingerprint.starts_with("minilm:") => "set MNEMON_EMBEDDER=minilm".into(),
        None => "choose the store's embedder with MNEMON_EMBEDDER".into(),
    }
}
