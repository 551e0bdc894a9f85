//! The plan of a backup, for a dry run.

use super::inventory::{check_input_files, take_inventory};
use super::layout::{extra_files, snapshot_file};
use super::manifest::MANIFEST_FILE;
use super::options::BackupOptions;
use crate::error::Result;
use crate::files;

/// What a backup would contain.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackupPlan {
    /// The version of Qdrant.
    pub qdrant: String,
    /// The REST address of Qdrant.
    pub server: String,
    /// The collection, after an alias was resolved.
    pub collection: String,
    /// The names of the collections to back up, with their numbers of points.
    pub collections: Vec<(String, u64)>,
    /// The number of aliases on the server.
    pub aliases: usize,
    /// The files that would be written.
    pub files: Vec<String>,
    /// The number of free bytes on the disk of the folder.
    pub free: Option<u64>,
}

/// Reads what there is to back up. Writes nothing, neither locally nor on the server.
///
/// # Errors
/// [`MigrateError::Server`] if Qdrant is unavailable; [`MigrateError::Invalid`] if it has no such collection or not all
/// of its shards; [`MigrateError::Io`] if a file can't be read.
///
/// [`MigrateError::Server`]: crate::MigrateError::Server
/// [`MigrateError::Invalid`]: crate::MigrateError::Invalid
/// [`MigrateError::Io`]: crate::MigrateError::Io
pub fn plan_backup(options: &BackupOptions) -> Result<BackupPlan> {
    check_input_files(options)?;
    let server = options.rest()?;
    let inventory = take_inventory(&server, options)?;
    let mut files: Vec<String> =
        inventory.collections.iter().map(|collection| snapshot_file(&collection.name)).collect();
    files.extend(extra_files(options).into_iter().map(str::to_owned));
    files.push(MANIFEST_FILE.to_owned());
    Ok(BackupPlan {
        aliases: inventory.alias_count(),
        qdrant: inventory.version,
        server: server.url().to_owned(),
        collection: inventory.collection,
        collections: inventory.collections.into_iter().map(|collection| (collection.name, collection.points)).collect(),
        files,
        free: files::free_bytes(&options.folder),
    })
}
