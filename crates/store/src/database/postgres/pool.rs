//! Connections that are kept for the next who needs one.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::connect::{Connection, Server};
use crate::database::lock::PATIENCE;
use crate::{Result, StoreError};

/// Connections to a server; as many as were needed at a time, up to a limit.
pub(super) struct Pool {
    server: Server,
    limit: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    lent: usize,
}

/// A connection for one. Closed when dropped, unless it is given back: what it was in the middle of is undone.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Pool {
    pub(super) fn new(server: Server, limit: usize) -> Self {
        Self { server, limit, state: Mutex::default(), freed: Condvar::new() }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// A connection; waits while all are in use.
    pub(super) fn take(&self) -> Result<Lent<'_>> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while state.lent == self.limit {
            if self.freed.wait_until(&mut state, deadline).timed_out() {
                let reason = format!("all {} connections are busy", self.limit);
                return Err(StoreError::Unavailable { server: self.server.name.clone(), reason });
            }
        }
        state.lent += 1;
        let connection = state.idle.pop();
        drop(state);
        let mut lent = Lent { pool: self, connection };
        if lent.connection.is_none() {
            lent.connection = Some(self.server.connect()?);
        }
        Ok(lent)
    }

    /// Puts a new connection in the place of a broken one.
    pub(super) fn replace(&self, lent: &mut Lent<'_>) -> Result<()> {
        lent.connection = None;
        lent.connection = Some(self.server.connect()?);
        Ok(())
    }

    /// Keeps a connection that is in no transaction for the next.
    pub(super) fn give_back(&self, mut lent: Lent<'_>) {
        if let Some(mut connection) = lent.connection.take() {
            connection.used = true;
            self.state.lock().idle.push(connection);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.connection = None;
        self.pool.state.lock().lent -= 1;
        self.pool.freed.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.state.get_mut().idle);
        if !idle.is_empty() {
            // Closing waits, which asynchronous code must not do, and the last owner may be such.
            let _ = std::thread::spawn(move || drop(idle)).join();
        }
    }
}

impl Deref for Lent<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lent connection is there until it is given back")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lent connection is there until it is given back")
    }
}
