//! The progress events of a backup.

/// A progress event of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupEvent<'e> {
    /// A step without a measurable progress has started.
    Step(&'e str),
    /// A part of a collection's snapshot has been downloaded.
    Download {
        /// The collection.
        collection: &'e str,
        /// The number of bytes downloaded.
        done: u64,
        /// The size of the snapshot in bytes, if the server reports it.
        total: Option<u64>,
    },
    /// Points have been exported.
    Export {
        /// The number of points in the file.
        done: u64,
        /// The number of points that the server counted.
        total: u64,
    },
    /// A note for the user.
    Note(&'e str),
    /// The backup was complete and intact, so nothing was done.
    AlreadyComplete,
}
