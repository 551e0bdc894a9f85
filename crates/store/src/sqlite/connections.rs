//! The connections to a store's file: one that writes, and a pool of readers.

use std::time::Instant;

use rusqlite::Connection;

use super::open::{self, SqliteOptions};
use crate::database::pool::{ConnectionPool, open_for_writing};
use crate::{Result, StoreWarning};

/// The connections to a store's file.
pub(super) struct Connections {
    options: SqliteOptions,
    pool: ConnectionPool,
}

impl Connections {
    /// Opens the file, or creates it; see [`super::SqliteStore::open`].
    pub(super) fn open(options: SqliteOptions) -> Result<Self> {
        let reader = open::open_current(&options)?;
        let writer = if reader.is_none() {
            Some(open_for_writing(&options.path, || open::open_writer(&options))?)
        } else {
            None
        };
        Ok(Self { pool: ConnectionPool::new(&options.path, writer, reader), options })
    }

    pub(super) fn options(&self) -> &SqliteOptions {
        &self.options
    }

    /// Runs work that writes. Only one thread writes at a time.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let requested = Instant::now();
        let mut started = requested;
        let locked = || {
            record_duration("write_wait", requested);
            started = Instant::now();
        };
        let result = self.pool.write(|| open::open_writer(&self.options), locked, work);
        record_duration("write", started);
        result
    }

    /// Runs work that reads, in its own snapshot.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let result = self.pool.read(|connection| {
            let snapshot = connection.transaction()?;
            work(&snapshot)
        });
        record_duration("read", started);
        result
    }

    /// Why writes are refused; `None` if they are accepted.
    pub(super) fn refusal(&self) -> Option<StoreWarning> {
        self.pool.refusal(|| open::open_writer(&self.options))
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
