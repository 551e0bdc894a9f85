//! The connections to a file: one that writes, and a pool of readers. They outlive a time in which the file can only be read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::file::{BUSY_TIMEOUT, Reader, open_reader, read_only_reason};
use crate::{Result, StoreError};

/// The connections to a file that exists.
pub(crate) struct ConnectionPool {
    path: PathBuf,
    /// Opened by the first write, so that a process that only reads never waits for writers.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Readers>,
    /// Why the last write was refused, if it was because the file can only be read.
    refused: Mutex<Option<String>>,
}

#[derive(Default)]
struct Readers {
    idle: Vec<Reader>,
    /// Counts how often all readers were closed. One that was in use then is closed when it is returned.
    generation: u64,
}

impl ConnectionPool {
    /// A pool with the connections that are open already.
    pub(crate) fn new(path: &Path, writer: Option<Connection>, reader: Option<Reader>) -> Self {
        let readers = Readers { idle: reader.into_iter().collect(), generation: 0 };
        Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            refused: Mutex::new(None),
        }
    }

    /// Runs work that writes, on the connection that `open` opened. Only one thread writes at a time; `locked` is called when
    /// its turn begins.
    pub(crate) fn write<T>(
        &self,
        open: impl FnOnce() -> Result<Connection>,
        locked: impl FnOnce(),
        work: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let mut writer = self.writer.lock();
        locked();
        self.write_with(&mut writer, open, work)
    }

    fn write_with<T>(
        &self,
        writer: &mut Option<Connection>,
        open: impl FnOnce() -> Result<Connection>,
        work: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let connection = match writer.take() {
            Some(connection) => Ok(connection),
            None => self.check_exists().and_then(|()| open()),
        };
        match connection.and_then(|connection| work(writer.insert(connection))) {
            Ok(done) => {
                *self.refused.lock() = None;
                Ok(done)
            }
            Err(error) => {
                let Some(reason) = refusal(&error, &self.path) else { return Err(error) };
                // A connection that was opened while the file could only be read stays so, and readers share its state.
                *writer = None;
                self.close_readers();
                *self.refused.lock() = Some(reason.clone());
                Err(StoreError::ReadOnly { reason })
            }
        }
    }

    /// SQLite would create a file in the place of one that was removed, or whose disk is not mounted.
    fn check_exists(&self) -> Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(_) => Ok(()),
            Err(source) => Err(StoreError::Io { path: self.path.clone(), source }),
        }
    }

    /// Runs work that reads.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let (generation, pooled) = {
            let mut readers = self.readers.lock();
            (readers.generation, readers.idle.pop())
        };
        // Others may write to the file as soon as it can be written, which such a reader would not notice.
        let usable = pooled.filter(|reader| !reader.is_immutable || read_only_reason(&self.path).is_some());
        let mut reader = match usable {
            Some(reader) => reader,
            None => open_reader(&self.path)?,
        };
        let result = work(&mut reader.connection);
        let mut readers = self.readers.lock();
        // A connection that could not end its transaction is not used again.
        if readers.generation == generation && reader.connection.is_autocommit() {
            readers.idle.push(reader);
        }
        result
    }

    fn close_readers(&self) {
        let mut readers = self.readers.lock();
        readers.generation += 1;
        readers.idle.clear();
    }

    /// Why the file can only be read; `None` if it can be written, as far as is known. After a refused write this tries
    /// another one, which changes nothing.
    pub(crate) fn read_only(&self, open: impl FnOnce() -> Result<Connection>) -> Option<String> {
        if let Some(reason) = read_only_reason(&self.path) {
            return Some(reason);
        }
        let refused = self.refused.lock().clone()?;
        // If it is in use, its result is known soon.
        let Some(mut writer) = self.writer.try_lock() else { return Some(refused) };
        let tried = self.write_with(&mut writer, open, |connection| {
            connection.busy_timeout(Duration::ZERO)?;
            let tried = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(tried?)
        });
        match tried {
            Err(StoreError::ReadOnly { reason }) => Some(reason),
            Ok(()) | Err(_) => None,
        }
    }
}

/// The error of opening a file for writing: [`StoreError::ReadOnly`] if that is the reason.
pub(crate) fn open_for_writing(path: &Path, open: impl FnOnce() -> Result<Connection>) -> Result<Connection> {
    open().map_err(|error| refusal(&error, path).map_or(error, |reason| StoreError::ReadOnly { reason }))
}

/// Why a write failed, if it was because the file can only be read.
fn refusal(error: &StoreError, path: &Path) -> Option<String> {
    match error {
        StoreError::ReadOnly { reason } => Some(read_only_reason(path).unwrap_or_else(|| reason.clone())),
        // SQLite has no special error for a log that it can't create or write to.
        StoreError::Database(_) | StoreError::Io { .. } => read_only_reason(path),
        _ => None,
    }
}
