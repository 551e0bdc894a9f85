//! Warnings about a degraded store.

use std::fmt;

/// Why a store is degraded. Displayed, it names the fault; the remedy depends on the program that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreWarning {
    /// The collection has no sparse vectors.
    NoBm25 {
        /// The collection.
        collection: String,
    },
    /// A migration filled the store without entities.
    NoEntities,
    /// The alias points to another collection than the one that is served.
    AliasMoved {
        /// The collection that is served.
        collection: String,
    },
    /// The collection was served with another ledger.
    OtherLedger {
        /// The collection.
        collection: String,
        /// The ledger that is used now.
        ledger: String,
    },
    /// The file of the store, or of its ledger, can only be read.
    ReadOnly {
        /// Which part can't be written, and the error of the operating system.
        reason: String,
    },
    /// The disk of the store, or of its ledger, is full.
    Full,
    /// Accepted writes are not applied to Qdrant yet.
    PendingWrites,
    /// The store was moved to another embedder after it was opened.
    OtherEmbedder {
        /// Fingerprint of the store's embedder.
        stored: String,
        /// Dims of the store's vectors.
        stored_dims: usize,
        /// Fingerprint of the configured embedder.
        given: String,
        /// Dims of the configured embedder.
        given_dims: usize,
    },
    /// A move to another embedder was begun and is not finished.
    ReembedBegun {
        /// Fingerprint of the new embedder.
        embedder: String,
        /// Its dims.
        dims: usize,
    },
}

impl fmt::Display for StoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBm25 { collection } => write!(
                f,
                "collection `{collection}` has no bm25 vectors (it was created before mem0 v2), so profile mem0 searches by \
                 meaning and entities only"
            ),
            Self::NoEntities => f.write_str(
                "the memories that were migrated to this store have no entities, so a search does not find them by the \
                 names in it",
            ),
            Self::AliasMoved { collection } => write!(
                f,
                "the alias points to another collection than `{collection}`, which is still served: restart to serve that one"
            ),
            Self::OtherLedger { collection, ledger } => write!(
                f,
                "collection `{collection}` was served with another ledger than {ledger}, which has its history, links and \
                 sessions"
            ),
            Self::ReadOnly { reason } => write!(f, "the store can only be read, writes are refused ({reason})"),
            Self::Full => f.write_str("the disk is full, so the last write was refused"),
            Self::PendingWrites => f.write_str("accepted writes are pending until Qdrant is available"),
            Self::OtherEmbedder { stored, stored_dims, given, given_dims } => write!(
                f,
                "the store was moved to embedder `{stored}` ({stored_dims} dims), but this run uses `{given}` ({given_dims} \
                 dims)"
            ),
            Self::ReembedBegun { embedder, dims } => {
                write!(f, "a move to embedder `{embedder}` ({dims} dims) was begun and is not finished")
            }
        }
    }
}
