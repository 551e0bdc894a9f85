//! The connections to a store's file: one that writes, and a pool of readers.

use std::time::Instant;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::open::{self, SqliteOptions};
use crate::Result;
use crate::database::file::open_reader;

/// The connections to a store's file.
pub(super) struct Connections {
    options: SqliteOptions,
    /// Opened by the first write, so that a process that only reads never waits for writers.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl Connections {
    /// Opens the file, or creates it; see [`super::SqliteStore::open`].
    pub(super) fn open(options: SqliteOptions) -> Result<Self> {
        let reader = open::open_current(&options)?;
        let writer = if reader.is_none() { Some(open::open_writer(&options)?) } else { None };
        Ok(Self { writer: Mutex::new(writer), readers: Mutex::new(reader.into_iter().collect()), options })
    }

    pub(super) fn options(&self) -> &SqliteOptions {
        &self.options
    }

    /// Runs work that writes. Only one thread writes at a time.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let requested = Instant::now();
        let mut writer = self.writer.lock();
        record_duration("write_wait", requested);
        let started = Instant::now();
        let connection = match writer.take() {
            Some(connection) => connection,
            None => open::open_writer(&self.options)?,
        };
        let result = work(writer.insert(connection));
        record_duration("write", started);
        result
    }

    /// Runs work that reads, in its own snapshot.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let pooled = self.readers.lock().pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => open_reader(&self.options.path)?,
        };
        let snapshot = connection.transaction()?;
        let result = work(&snapshot);
        drop(snapshot);
        self.readers.lock().push(connection);
        record_duration("read", started);
        result
    }

    /// Same as [`Connections::read`], for work that returns vectors or compares vectors with them.
    pub(super) fn read_vectors<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.read(|connection| {
            open::check_embedder(connection, &self.options)?;
            work(connection)
        })
    }
}

fn record_duration(op: &'static str, since: Instant) {
    metrics::histogram!("mnemon_store_seconds", "op" => op).record(since.elapsed());
}
