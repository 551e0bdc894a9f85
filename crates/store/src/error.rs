//! Errors of stores.

use std::path::PathBuf;

use crate::filter::FilterError;
use crate::{InvalidId, MemoryId};

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Any failure of a store. When a write returns an error, nothing was written; [`StoreError::OutcomeUnknown`] is the
/// exception.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened, read or created.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not a store. It was not changed.
    #[error("{} is not a Mnemon store: {reason}. The file was not changed", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What the file is instead.
        reason: String,
    },
    /// The file is not a ledger. It was not changed.
    #[error("{} is not a ledger of Mnemon: {reason}. The file was not changed; name another path", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What the file is instead.
        reason: String,
    },
    /// The file is damaged. It was not changed.
    #[error("{} is damaged: {reason}. The file was not changed; restore it from a backup or an export", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage that was found.
        reason: String,
    },
    /// A newer version of Mnemon wrote the file.
    #[error("{} has schema {found}, but this version of Mnemon supports schemas up to {known}: use a newer version", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest schema version that this program supports.
        known: u32,
    },
    /// Another embedder filled the store. Its vectors can't be compared with the vectors of this one.
    #[error(
        "the store was written with embedder `{stored}` ({stored_dims} dims), but this run uses `{given}` ({given_dims} dims)"
    )]
    EmbedderMismatch {
        /// Fingerprint of the store's embedder.
        stored: String,
        /// Dims of the store's vectors.
        stored_dims: usize,
        /// Fingerprint of the configured embedder.
        given: String,
        /// Dims of the configured embedder.
        given_dims: usize,
    },
    /// The store is being moved to another embedder than the requested one.
    #[error(
        "the store is being moved to embedder `{current}` ({current_dims} dims), not to `{requested}` ({requested_dims} dims)"
    )]
    Reembedding {
        /// Fingerprint of the embedder that the store is being moved to.
        current: String,
        /// Dims of that embedder.
        current_dims: usize,
        /// Fingerprint of the requested embedder.
        requested: String,
        /// Dims of the requested embedder.
        requested_dims: usize,
    },
    /// A move to another embedder can't continue; the text gives the reason.
    #[error("{0}")]
    ReembedRefused(String),
    /// The disk is full, or the store reached its size limit.
    #[error("no space left for the store: nothing of this write was stored; free space and try again")]
    Full,
    /// The file of the store, or of its ledger, can only be read.
    #[error("the store can only be read ({reason}): nothing of this write was stored")]
    ReadOnly {
        /// Which part can't be written, and the error of the operating system.
        reason: String,
    },
    /// Another process kept the store locked for too long.
    #[error("the store is locked by another process; nothing was written, try again")]
    Busy,
    /// The scope changed between reading and writing. The caller must read again and retry.
    #[error("another writer changed the scope at the same time")]
    Conflict,
    /// The id is already used.
    #[error("a memory with id {0} already exists")]
    Exists(MemoryId),
    /// No memory has the id.
    #[error("memory {0} was not found")]
    NotFound(MemoryId),
    /// The text is not a memory id.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// The scope ids are not valid.
    #[error("invalid scope: {0}")]
    InvalidScope(String),
    /// The filter is not valid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The cursor was not made by a store.
    #[error("the cursor is not valid: use the one of the previous page, or none for the first page")]
    InvalidCursor,
    /// A vector has the wrong length, or a value that is not a finite number.
    #[error("a vector with {found} finite values was given, but the store needs {expected} dims")]
    Dims {
        /// Dims of the store.
        expected: usize,
        /// Finite values of the given vector.
        found: usize,
    },
    /// The document is nested deeper than JSON parsers accept.
    #[error("the document nests lists and objects more than {limit} levels deep; flatten it")]
    TooDeep {
        /// The largest depth that is accepted.
        limit: usize,
    },
    /// A document is damaged, or a newer version of Mnemon wrote it in another format. It was not changed.
    #[error("the {kind} document {id} can't be read: {reason}")]
    UnreadableDocument {
        /// The kind of the document.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The fault of its body, without a value of it.
        reason: String,
    },
    /// The contents of the database contradict each other.
    #[error("the store is corrupt ({0}): restore it from a backup or an export")]
    Corrupt(String),
    /// The database reported another error.
    #[error("database: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A server that the store needs is unavailable. A write was not accepted.
    #[error("{server} is unavailable: {reason}. Nothing was written; try again later")]
    Unavailable {
        /// The server and its address, such as `Qdrant at http://localhost:6334`.
        server: String,
        /// The error that was observed.
        reason: String,
    },
    /// The connection was lost during a commit: it is unknown whether the write was accepted.
    #[error(
        "the connection to {server} was lost during a commit ({reason}). Check whether the write took place before you repeat it"
    )]
    OutcomeUnknown {
        /// The server and its address.
        server: String,
        /// The error that was observed.
        reason: String,
    },
    /// The collection can't hold a store, or not this one.
    #[error("{}", problem.describe(collection))]
    UnusableCollection {
        /// The name that was given.
        collection: String,
        /// Why it can't be used.
        problem: CollectionProblem,
    },
    /// A server that the store needs is not set up as required. The text names the server, what it lacks and what to change
    /// at the server; it names no flags. A problem that a caller has to recognize gets its variant.
    #[error("{0}")]
    Misconfigured(String),
    /// This kind of store can't hold the value. The text names the value and what to write in its place.
    #[error("{0}")]
    Unsupported(String),
}

/// Why a collection can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectionProblem {
    /// The name is an alias, and its ledger is found by the name of the collection.
    Alias {
        /// The collection.
        target: String,
    },
    /// There is no such collection.
    Missing {
        /// The addresses of the server.
        server: String,
    },
    /// It has no unnamed dense vector.
    NoDenseVector,
    /// It compares vectors in another way than mem0.
    Distance {
        /// How it compares them.
        found: String,
    },
    /// Its vectors have another length than those of the embedder.
    Dims {
        /// Dims of the collection.
        found: u64,
        /// Fingerprint of the configured embedder.
        embedder: String,
        /// Dims of the configured embedder.
        dims: usize,
    },
}

impl CollectionProblem {
    fn describe(&self, name: &str) -> String {
        match self {
            Self::Alias { target } => format!("`{name}` is an alias of `{target}`, whose ledger has another name"),
            Self::Missing { server } => format!("there is no collection `{name}` at {server}"),
            Self::NoDenseVector => {
                format!("collection `{name}` has no unnamed dense vector: neither mem0 nor Mnemon created it")
            }
            Self::Distance { found } => {
                format!("collection `{name}` compares vectors by {found}, not by Cosine as mem0 does")
            }
            Self::Dims { found, embedder, dims } => {
                format!("collection `{name}` has vectors of {found} dims, but embedder `{embedder}` makes {dims}")
            }
        }
    }
}

impl StoreError {
    /// A document whose body can't be read. The reason quotes no value of the body, which may be secret.
    pub(crate) fn unreadable(kind: &'static str, id: &str, error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let reason = if !error.is_data() {
            "its body is not JSON".to_owned()
        } else if message.starts_with("missing field") {
            message
        } else {
            "its body has another format".to_owned()
        };
        Self::UnreadableDocument { kind, id: id.to_owned(), reason }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        // No space for the shared memory of the write-ahead log.
        const IOERR_SHMSIZE: i32 = 4874;
        if error.sqlite_error().is_some_and(|error| error.extended_code == IOERR_SHMSIZE) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { reason: error.to_string() },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Database(error.into()),
        }
    }
}
