//! Syncs the write-ahead log to the disk, for all waiting threads together.
//!
//! A transaction survives a power failure if it is in the synced log, or if SQLite has moved it from the log to the
//! database: SQLite syncs the log before it does that.

use std::fs::File;
use std::path::PathBuf;

use parking_lot::{Condvar, Mutex};

use crate::{Result, StoreError};

/// A write-ahead log. The file exists after the first write.
pub(super) struct Wal {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    file: Option<File>,
    /// The number of syncs that were started and finished. A sync includes everything written before it started.
    started: u64,
    finished: u64,
    /// The last sync that failed. Writes before it may never reach the disk.
    failed: Option<u64>,
}

impl Wal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until everything written before the call is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        let mut state = self.state.lock();
        // A sync that is already running may have started before the write.
        let wanted = state.started + 1;
        while state.finished < wanted && state.finished < state.started {
            self.changed.wait(&mut state);
        }
        if state.finished < wanted {
            state.started += 1;
            let mut file = state.file.take();
            drop(state);
            let result = self.sync_file(&mut file);
            state = self.state.lock();
            state.file = file;
            state.finished = state.started;
            self.changed.notify_all();
            if let Err(source) = result {
                state.failed = Some(state.finished);
                return Err(StoreError::Io { path: self.path.clone(), source });
            }
        }
        if state.failed.is_some_and(|failed| failed >= wanted) {
            let source = std::io::Error::other("the sync of another thread failed");
            return Err(StoreError::Io { path: self.path.clone(), source });
        }
        Ok(())
    }

    fn sync_file(&self, file: &mut Option<File>) -> std::io::Result<()> {
        let file = match file {
            Some(file) => file,
            // Opened for writing: some systems do not sync a file that is opened for reading.
            None => file.insert(File::options().write(true).open(&self.path)?),
        };
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_share_few_syncs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let wal = Wal::new(path.clone());
        assert!(matches!(wal.sync(), Err(StoreError::Io { .. })));
        File::create(path).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..20).for_each(|_| wal.sync().unwrap()));
            }
        });
        let state = wal.state.lock();
        assert!(state.started == state.finished && state.started <= 161, "{}", state.started);
    }
}
