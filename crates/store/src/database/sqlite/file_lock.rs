//! A lock between processes, on a file. The operating system releases it when its process ends, even if it is killed.
//!
//! The threads of a process share the lock. A process can't see whether other processes wait for it. Therefore it
//! releases the lock from time to time while its threads use it without a pause.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::{Result, StoreError};

/// How long a process keeps the lock while its threads use it without a pause.
const MAX_TURN: Duration = Duration::from_millis(50);

/// The pause between two attempts to get a lock that another process holds.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// How long a process leaves the lock free after a full turn. It is longer than the poll interval of other processes.
const PAUSE: Duration = Duration::from_millis(2);

/// A file to lock.
pub(super) struct FileLock {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    file: Option<File>,
    /// Threads that hold a guard.
    holders: usize,
    /// Whether a thread is locking the file for the whole process.
    locking: bool,
    turn_began: Instant,
    last_released: Instant,
}

/// Holds the lock until it is dropped.
pub(super) struct FileLockGuard<'a>(&'a FileLock);

impl FileLock {
    pub(super) fn new(path: PathBuf) -> Self {
        let now = Instant::now();
        let state = State { file: None, holders: 0, locking: false, turn_began: now, last_released: now };
        Self { path, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until this process has the lock.
    pub(super) fn acquire(&self, deadline: Instant) -> Result<FileLockGuard<'_>> {
        let mut state = self.state.lock();
        // The turn of this process is over, or is about to begin.
        while state.locking || (state.holders > 0 && state.turn_began.elapsed() > MAX_TURN) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(StoreError::Busy);
            }
        }
        if state.holders == 0 {
            state.locking = true;
            let continued = state.last_released.elapsed() < PAUSE;
            let turn_over = continued && state.turn_began.elapsed() > MAX_TURN;
            let mut file = state.file.take();
            drop(state);
            if turn_over {
                std::thread::sleep(PAUSE);
            }
            let locked = self.lock_file(&mut file, deadline);
            state = self.state.lock();
            state.file = file;
            state.locking = false;
            self.changed.notify_all();
            // A wait for another process is a pause too.
            let waited = locked?;
            if turn_over || waited || !continued {
                state.turn_began = Instant::now();
            }
        }
        state.holders += 1;
        Ok(FileLockGuard(self))
    }

    /// Locks the file; returns whether another process held it.
    fn lock_file(&self, file: &mut Option<File>, deadline: Instant) -> Result<bool> {
        let io = |source| StoreError::Io { path: self.path.clone(), source };
        let file = match file {
            Some(file) => file,
            None => file.insert(self.open_file().map_err(io)?),
        };
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(waited),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(StoreError::Busy),
                Err(TryLockError::WouldBlock) => waited = true,
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn open_file(&self) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}

impl Drop for FileLockGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.holders -= 1;
        if state.holders == 0 {
            state.last_released = Instant::now();
            // Closing the file releases a lock that could not be released otherwise.
            if state.file.as_ref().is_some_and(|file| file.unlock().is_err()) {
                state.file = None;
            }
            self.0.changed.notify_all();
        }
    }
}
