//! The connections to a file: one that writes, and a pool of readers. They outlive a time in which the file can only be read,
//! or its disk is full.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};

use super::file::{BUSY_TIMEOUT, Reader, can_share_memory, make_logs_writable, open_reader, read_only_reason};
use crate::{Result, StoreError, StoreWarning};

/// The connections to a file that exists.
pub(crate) struct ConnectionPool {
    path: PathBuf,
    /// Opened by the first write, so that a process that only reads never waits for writers.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Readers>,
    /// Why the last write was refused, if the file or its disk is to blame.
    refused: Mutex<Option<StoreWarning>>,
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
            None => self.check_exists().and_then(|()| {
                self.repair_logs();
                open()
            }),
        };
        match connection.and_then(|connection| work(writer.insert(connection))) {
            Ok(done) => {
                *self.refused.lock() = None;
                Ok(done)
            }
            Err(error) => {
                if matches!(error, StoreError::Full) {
                    *self.refused.lock() = Some(StoreWarning::Full);
                }
                let Some(reason) = refusal(&error, &self.path) else { return Err(error) };
                // A connection that was opened while the file could only be read stays so, and readers share its state.
                *writer = None;
                self.close_readers();
                *self.refused.lock() = Some(StoreWarning::ReadOnly { reason: reason.clone() });
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

    /// Readers that were opened before keep the state in which they could only read.
    fn repair_logs(&self) {
        if make_logs_writable(&self.path) {
            self.close_readers();
        }
    }

    fn close_readers(&self) {
        let mut readers = self.readers.lock();
        readers.generation += 1;
        readers.idle.clear();
    }

    /// Why writes are refused; `None` if they are accepted, as far as is known. If that is in doubt, this tries a write that
    /// changes nothing: after a refused write, and if permissions say so while the file is open for writing.
    pub(crate) fn refusal(&self, open: impl FnOnce() -> Result<Connection>) -> Option<StoreWarning> {
        self.repair_logs();
        let by_permissions = read_only_reason(&self.path).map(|reason| StoreWarning::ReadOnly { reason });
        let is_certain = by_permissions.is_some();
        let refused = by_permissions.or_else(|| self.refused.lock().clone())?;
        // If it is in use, its result is known soon.
        let Some(mut writer) = self.writer.try_lock() else { return Some(refused) };
        if is_certain && (writer.is_none() || !can_share_memory(&self.path)) {
            return Some(refused);
        }
        let tried = self.write_with(&mut writer, open, |connection| {
            connection.busy_timeout(Duration::ZERO)?;
            let tried = write_nothing(connection);
            connection.busy_timeout(BUSY_TIMEOUT)?;
            tried
        });
        match tried {
            Ok(()) => None,
            Err(StoreError::ReadOnly { reason }) => Some(StoreWarning::ReadOnly { reason }),
            Err(StoreError::Full) => Some(StoreWarning::Full),
            Err(_) => is_certain.then_some(refused),
        }
    }
}

/// Writes a number that stays the same, which needs as much of the disk as the smallest write.
fn write_nothing(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id: i64 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    transaction.execute_batch(&format!("PRAGMA application_id = {id}"))?;
    Ok(transaction.commit()?)
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
