//! The write-ahead log, brought to the disk for all who wait for it at once.
//!
//! A transaction is safe once the log holds it, or once it was moved from there into the database, which SQLite syncs first.

use std::fs::File;
use std::path::PathBuf;

use parking_lot::{Condvar, Mutex};

use crate::{Result, StoreError};

/// The file of a log, which is there from the first write on.
pub(super) struct Log {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    file: Option<File>,
    /// Rounds begun and ended; a round brings to the disk what was written before it began.
    begun: u64,
    ended: u64,
    /// The last round that failed. What it should have brought may never get there.
    failed: Option<u64>,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Returns when what was written before is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        let mut state = self.state.lock();
        // One that is under way may have begun too early.
        let wanted = state.begun + 1;
        while state.ended < wanted && state.ended < state.begun {
            self.changed.wait(&mut state);
        }
        if state.ended < wanted {
            state.begun += 1;
            let mut file = state.file.take();
            drop(state);
            let synced = self.bring(&mut file);
            state = self.state.lock();
            state.file = file;
            state.ended = state.begun;
            self.changed.notify_all();
            if let Err(source) = synced {
                state.failed = Some(state.ended);
                return Err(StoreError::Io { path: self.path.clone(), source });
            }
        }
        if state.failed.is_some_and(|failed| failed >= wanted) {
            let source = std::io::Error::other("writing to the disk failed for another thread");
            return Err(StoreError::Io { path: self.path.clone(), source });
        }
        Ok(())
    }

    fn bring(&self, file: &mut Option<File>) -> std::io::Result<()> {
        let file = match file {
            Some(file) => file,
            // To write, since some systems sync nothing else.
            None => file.insert(File::options().write(true).open(&self.path)?),
        };
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wait_for_few_rounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Log::new(path.clone());
        assert!(matches!(log.sync(), Err(StoreError::Io { .. })));
        File::create(path).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..20).for_each(|_| log.sync().unwrap()));
            }
        });
        let state = log.state.lock();
        assert!(state.begun == state.ended && state.begun <= 161, "{}", state.begun);
    }
}
