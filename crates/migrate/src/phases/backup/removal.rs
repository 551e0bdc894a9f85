//! Deletes a backup.

use std::io::ErrorKind;
use std::path::Path;

use super::manifest::{MANIFEST_FILE, Manifest};
use crate::error::{MigrateError, Result};
use crate::files::{io_error, remove_if_exists};
use crate::outputs::check_folder;

/// Checks that the backup in a folder can be deleted. A missing one can.
pub(in crate::phases) fn check_removal(folder: &Path) -> Result<()> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(MigrateError::Io { path: folder.to_owned(), source }),
        Ok(_) => {
            check_folder(folder)?;
            Manifest::read(folder).map(drop)
        }
    }
}

/// Deletes the files of a backup, then its folder, unless it has other files. A repeated call continues.
pub(in crate::phases) fn remove_backup(folder: &Path) -> Result<()> {
    if folder.exists() {
        for artifact in Manifest::read(folder)?.artifacts {
            if Path::new(&artifact.file).file_name().is_some_and(|name| name == artifact.file.as_str()) {
                remove_if_exists(&folder.join(artifact.file))?;
            }
        }
        remove_if_exists(&folder.join(MANIFEST_FILE))?;
        match std::fs::remove_dir(folder) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => return Err(io_error(folder)(error)),
            _ => {}
        }
    }
    Ok(())
}
