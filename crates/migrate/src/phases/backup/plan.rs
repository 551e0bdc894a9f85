//! What a backup would hold.

use super::inventory::{check_input_files, take_inventory};
use super::layout::{extra_files, snapshot_file};
use super::manifest::MANIFEST;
use super::options::BackupOptions;
use crate::error::Result;
use crate::files;

/// What a backup would hold.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackupPlan {
    /// Version of the server.
    pub qdrant: String,
    /// Its REST address.
    pub server: String,
    /// The collection behind what was asked for.
    pub collection: String,
    /// The collections and the points of each.
    pub collections: Vec<(String, u64)>,
    /// Aliases on the server.
    pub aliases: usize,
    /// Files that would be written.
    pub files: Vec<String>,
    /// Bytes that are free where they would be.
    pub free: Option<u64>,
}

/// Looks at what there is to back up; writes nothing, neither here nor there.
///
/// # Errors
/// [`MigrateError::Server`] if Qdrant does not answer, [`MigrateError::Unfit`] if it has no such collection, or not all of
/// it; [`MigrateError::Io`] for files that can't be read.
pub fn plan_backup(options: &BackupOptions) -> Result<BackupPlan> {
    check_input_files(options)?;
    let server = options.rest()?;
    let found = take_inventory(&server, options)?;
    let mut files: Vec<String> = found.collections.iter().map(|seen| snapshot_file(&seen.name)).collect();
    files.extend(extra_files(options).into_iter().map(str::to_owned));
    files.push(MANIFEST.to_owned());
    Ok(BackupPlan {
        qdrant: found.version,
        server: server.url().to_owned(),
        collection: found.collection,
        collections: found.collections.into_iter().map(|seen| (seen.name, seen.points)).collect(),
        aliases: found.aliases["aliases"].as_array().map_or(0, Vec::len),
        files,
        free: files::free_bytes(&options.folder),
    })
}
