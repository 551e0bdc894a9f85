//! A pool of connections.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::connect::{Connection, Server};
use crate::database::lock::LOCK_TIMEOUT;
use crate::{Result, StoreError};

/// Connections to a server. They are opened when needed, up to a limit.
pub(super) struct Pool {
    server: Server,
    limit: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    in_use: usize,
}

/// A connection in use. Dropping it closes it and rolls back its transaction; [`Pool::put_back`] keeps it.
pub(super) struct PooledConnection<'a> {
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

    /// Takes a connection; waits while all are in use.
    pub(super) fn take(&self) -> Result<PooledConnection<'_>> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut state = self.state.lock();
        while state.in_use == self.limit {
            if self.freed.wait_until(&mut state, deadline).timed_out() {
                let reason = format!("all {} connections are busy", self.limit);
                return Err(StoreError::Unavailable { server: self.server.name.clone(), reason });
            }
        }
        state.in_use += 1;
        let connection = state.idle.pop();
        drop(state);
        let mut taken = PooledConnection { pool: self, connection };
        if taken.connection.is_none() {
            taken.connection = Some(self.server.connect()?);
        }
        Ok(taken)
    }

    /// Replaces a broken connection with a new one.
    pub(super) fn replace(&self, broken: &mut PooledConnection<'_>) -> Result<()> {
        broken.connection = None;
        broken.connection = Some(self.server.connect()?);
        Ok(())
    }

    /// Returns a connection to the pool. It must not be in a transaction.
    pub(super) fn put_back(&self, mut taken: PooledConnection<'_>) {
        if let Some(mut connection) = taken.connection.take() {
            connection.used = true;
            self.state.lock().idle.push(connection);
        }
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        self.connection = None;
        self.pool.state.lock().in_use -= 1;
        self.pool.freed.notify_one();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.state.get_mut().idle);
        if !idle.is_empty() {
            // Closing blocks, which is not allowed in asynchronous code, and the last owner may be asynchronous.
            let _ = std::thread::spawn(move || drop(idle)).join();
        }
    }
}

impl Deref for PooledConnection<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is present until it is put back")
    }
}

impl DerefMut for PooledConnection<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("the connection is present until it is put back")
    }
}
