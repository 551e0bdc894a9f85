//! A file of JSON lines with the points that a rollback overwrites or removes.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use mnemon_store::MemoryId;
use parking_lot::Mutex;
use serde_json::json;

use crate::error::{MigrateError, Result};
use crate::target::Target;

/// Saves points of a target before they are overwritten or removed.
pub(super) struct ReplacedPoints<'t> {
    target: &'t dyn Target,
    path: PathBuf,
    /// The file, and the number of points saved in this run.
    file: Mutex<(File, usize)>,
}

impl<'t> ReplacedPoints<'t> {
    /// Opens the file to append to it, and creates it if it is missing.
    pub(super) fn open(target: &'t dyn Target, path: PathBuf) -> Result<Self> {
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| MigrateError::Io { path: path.clone(), source })?;
        Ok(Self { target, path, file: Mutex::new((file, 0)) })
    }

    /// Appends the points with these ids that the target holds now. They are on disk when it returns.
    pub(super) fn save(&self, ids: &[MemoryId]) -> Result<()> {
        let stored = self.target.get(ids)?;
        let mut file = self.file.lock();
        let io = |source| MigrateError::Io { path: self.path.clone(), source };
        for stored in stored.values() {
            let line = json!({
                "id": stored.memory.id.to_value(),
                "payload": stored.memory.payload.as_map(),
                "vector": stored.vector,
            });
            writeln!(file.0, "{line}").map_err(io)?;
            file.1 += 1;
        }
        file.0.sync_data().map_err(io)
    }

    /// Closes the file and returns its path if points were saved in this run. Removes an empty file.
    pub(super) fn close(self) -> Option<PathBuf> {
        let (file, saved) = self.file.into_inner();
        if saved == 0 && file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
        (saved > 0).then_some(self.path)
    }
}
