//! A target that keeps what is written over.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use mnemon_store::{MemoryId, Record, Sparse, StoredMemory};
use parking_lot::Mutex;
use serde_json::json;

use super::interface::Target;
use crate::error::{MigrateError, Result};

/// A target that keeps what is written over or removed, in a file of JSON lines.
pub(crate) struct Keeping<'t> {
    inner: &'t dyn Target,
    path: PathBuf,
    file: Mutex<(File, usize)>,
}

impl<'t> Keeping<'t> {
    pub(crate) fn new(inner: &'t dyn Target, path: PathBuf) -> Result<Self> {
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| MigrateError::Io { path: path.clone(), source })?;
        Ok(Self { inner, path, file: Mutex::new((file, 0)) })
    }

    fn keep(&self, ids: &[MemoryId]) -> Result<()> {
        let there = self.inner.get(ids)?;
        let mut file = self.file.lock();
        for stored in there.values() {
            let line = json!({
                "id": stored.memory.id.to_value(),
                "payload": stored.memory.payload.as_map(),
                "vector": stored.vector,
            });
            let io = |source| MigrateError::Io { path: self.path.clone(), source };
            writeln!(file.0, "{line}").map_err(io)?;
            file.1 += 1;
        }
        file.0.sync_data().map_err(|source| MigrateError::Io { path: self.path.clone(), source })
    }

    pub(crate) fn into_file(self) -> Option<PathBuf> {
        let (file, kept) = self.file.into_inner();
        if kept == 0 && file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
        (kept > 0).then_some(self.path)
    }
}

impl Target for Keeping<'_> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size()
    }

    fn builds_entities(&self) -> bool {
        self.inner.builds_entities()
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        self.keep(&records.iter().map(|record| record.memory.id).collect::<Vec<_>>())?;
        self.inner.write(records)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        self.keep(ids)?;
        self.inner.remove(ids)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        self.inner.get(ids)
    }

    fn count(&self) -> Result<u64> {
        self.inner.count()
    }

    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        self.inner.first_by_words(user, vector)
    }

    fn missing_indexes(&self) -> Result<Vec<String>> {
        self.inner.missing_indexes()
    }
}
