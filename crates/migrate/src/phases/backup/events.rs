//! What a backup tells while it is made.

/// What a backup tells while it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupEvent<'e> {
    /// Work that has no measure begins.
    Step(&'e str),
    /// Bytes of a collection's snapshot that are here.
    Download {
        /// The collection.
        collection: &'e str,
        /// Bytes that are here.
        done: u64,
        /// Bytes in all, where the server says.
        total: Option<u64>,
    },
    /// Points that are exported.
    Export {
        /// Points in the file.
        done: u64,
        /// Points that the server counted.
        total: u64,
    },
    /// Something the reader should know.
    Note(&'e str),
    /// The backup is complete already, every byte of it; nothing was done.
    AlreadyThere,
}
