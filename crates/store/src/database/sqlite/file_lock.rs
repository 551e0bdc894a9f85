//! One process at a time: a lock on a file, which the system takes back when its process ends, however suddenly.
//!
//! The threads of a process share the lock. Nobody can see whether other processes wait for it, so it is let go now and
//! then while it is in use without a break.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::{Result, StoreError};

/// How long a process may use the lock while its threads follow each other closely.
const TURN: Duration = Duration::from_millis(50);

/// How often to ask for a lock that another process has.
const POLL: Duration = Duration::from_millis(1);

/// How long to leave the lock alone after a turn: who polls has asked meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// A file to lock.
pub(super) struct Gate {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    file: Option<File>,
    inside: usize,
    /// A thread is getting the lock for all.
    locking: bool,
    turn_began: Instant,
    left: Instant,
}

/// Inside until dropped.
pub(super) struct Entered<'a>(&'a Gate);

impl Gate {
    pub(super) fn new(path: PathBuf) -> Self {
        let now = Instant::now();
        let state = State { file: None, inside: 0, locking: false, turn_began: now, left: now };
        Self { path, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for this process's turn.
    pub(super) fn enter(&self, deadline: Instant) -> Result<Entered<'_>> {
        let mut state = self.state.lock();
        // The turn is over, or about to begin.
        while state.locking || (state.inside > 0 && state.turn_began.elapsed() > TURN) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(StoreError::Busy);
            }
        }
        if state.inside == 0 {
            state.locking = true;
            let continued = state.left.elapsed() < PAUSE;
            let over = continued && state.turn_began.elapsed() > TURN;
            let mut file = state.file.take();
            drop(state);
            if over {
                std::thread::sleep(PAUSE);
            }
            let locked = self.lock(&mut file, deadline);
            state = self.state.lock();
            state.file = file;
            state.locking = false;
            self.changed.notify_all();
            // Waiting for another process is a break, too.
            let waited = locked?;
            if over || waited || !continued {
                state.turn_began = Instant::now();
            }
        }
        state.inside += 1;
        Ok(Entered(self))
    }

    /// Locks the file; tells whether another process had it.
    fn lock(&self, file: &mut Option<File>, deadline: Instant) -> Result<bool> {
        let io = |source| StoreError::Io { path: self.path.clone(), source };
        let file = match file {
            Some(file) => file,
            None => file.insert(self.open().map_err(io)?),
        };
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(waited),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(StoreError::Busy),
                Err(TryLockError::WouldBlock) => waited = true,
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            std::thread::sleep(POLL);
        }
    }

    fn open(&self) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.inside -= 1;
        if state.inside == 0 {
            state.left = Instant::now();
            // A lock that could not be let go goes with its file.
            if state.file.as_ref().is_some_and(|file| file.unlock().is_err()) {
                state.file = None;
            }
            self.0.changed.notify_all();
        }
    }
}
