//! The plan of a backup, for a dry run.

use std::path::Path;

use super::inventory::{CollectionState, check_input_files, take_inventory};
use super::layout::{extra_files, snapshot_file};
use super::manifest::MANIFEST_FILE;
use super::options::BackupOptions;
use crate::error::{MigrateError, Result};
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
    /// The number of bytes of the vectors of all collections. A backup needs more.
    pub vector_bytes: u64,
    /// The number of free bytes on the disk of the folder.
    pub free: Option<u64>,
}

impl BackupPlan {
    /// Refuses a folder whose disk has no space even for the vectors.
    ///
    /// # Errors
    /// [`MigrateError::NoSpace`](crate::MigrateError::NoSpace).
    pub fn check_space(&self, folder: &Path) -> Result<()> {
        match self.free.filter(|free| *free < self.vector_bytes) {
            Some(free) => {
                let needs = Some(self.vector_bytes);
                Err(MigrateError::NoSpace { path: folder.to_owned(), needs, free: Some(free) })
            }
            None => Ok(()),
        }
    }
}

/// Reads what there is to back up. Writes nothing, neither locally nor on the server.
///
/// # Errors
/// [`MigrateError::Server`] if Qdrant is unavailable; [`MigrateError::Invalid`] if it has no such collection or not all
/// of its shards; [`MigrateError::Io`] if a file can't be read.
pub fn plan_backup(options: &BackupOptions) -> Result<BackupPlan> {
    check_input_files(options)?;
    let server = options.rest()?;
    let inventory = take_inventory(&server, options)?;
    let mut files: Vec<String> =
        inventory.collections.iter().map(|collection| snapshot_file(&collection.name)).collect();
    files.extend(extra_files(options).into_iter().map(str::to_owned));
    files.push(MANIFEST_FILE.to_owned());
    Ok(BackupPlan {
        vector_bytes: inventory.collections.iter().map(CollectionState::vector_bytes).sum(),
        aliases: inventory.alias_count(),
        qdrant: inventory.version,
        server: server.url().to_owned(),
        collection: inventory.collection,
        collections: inventory.collections.into_iter().map(|collection| (collection.name, collection.points)).collect(),
        files,
        free: files::free_bytes(&options.folder),
    })
}
