//! A database in Postgres that several replicas share.

mod advisory_locks;
mod connect;
mod pool;
mod schema;
mod statements;
mod tls;
mod value;

use std::time::{Duration, Instant};

use super::lock::{LOCK_TIMEOUT, LockTable, TableGuard};
use super::{Database, Durability, Lock, LockGuard, Sql, Tables, earlier_failure, snapshot};
use crate::{Result, StoreError};
use connect::Server;
use pool::{Pool, PooledConnection};
use statements::{Failure, Statements};

/// Connections for transactions. Locks use other connections, so that a thread that holds a lock can always write.
const MAX_TRANSACTION_CONNECTIONS: usize = 16;

/// Connections that hold locks.
const MAX_LOCK_CONNECTIONS: usize = 8;

/// Tables in a Postgres database that several processes share.
///
/// It blocks and must not be called from asynchronous code. It needs connections that keep their session: a connection
/// pooler between must not use transaction pooling.
pub struct PostgresDatabase {
    transaction_pool: Pool,
    lock_pool: Pool,
    thread_locks: LockTable,
}

impl std::fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresDatabase").field("server", &self.server().name).finish_non_exhaustive()
    }
}

impl PostgresDatabase {
    /// Connects to the database of a URL and applies the schema steps that are not applied yet: all of them or none. A
    /// step is a batch of statements; released steps never change.
    ///
    /// `sslmode` in the URL selects the encryption: `disable`; `prefer`, the default, encrypts if the server supports it
    /// and accepts any certificate; `require` encrypts and verifies the server's certificate with the certificates of the
    /// system.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Misconfigured`] for an invalid URL, name, password or database;
    /// [`StoreError::NewerSchema`].
    pub fn open(url: &str, steps: &[&str]) -> Result<Self> {
        let server = Server::parse(url)?;
        let transaction_pool = Pool::new(server.clone(), MAX_TRANSACTION_CONNECTIONS);
        let mut connection = transaction_pool.take()?;
        schema::apply_steps(&mut connection, transaction_pool.server(), steps)?;
        transaction_pool.put_back(connection);
        let lock_pool = Pool::new(server, MAX_LOCK_CONNECTIONS);
        Ok(Self { transaction_pool, lock_pool, thread_locks: LockTable::default() })
    }

    fn server(&self) -> &Server {
        self.transaction_pool.server()
    }

    /// Runs `work` in a transaction that starts with the statement `begin`. A failure of `work` rolls it back.
    fn run(&self, begin: &str, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        /// How often work is run that ends in a deadlock.
        const MAX_RUNS: usize = 10;
        let mut run = 1;
        loop {
            let mut connection = self.begin(begin)?;
            let mut statements = Statements::new(&mut connection, self.server());
            let mut result = work(&mut statements);
            match statements.failure {
                // Dropping the connection rolls the transaction back, and closes a connection that may be broken.
                Some(Failure::Deadlock) if run < MAX_RUNS => {
                    run += 1;
                    continue;
                }
                Some(_) => return result.and_then(|()| Err(earlier_failure())),
                None => {}
            }
            let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
            match connection.client.batch_execute(end) {
                Ok(()) => self.transaction_pool.put_back(connection),
                Err(error) if result.is_ok() => result = Err(self.server().commit_error(&error)),
                Err(_) => {}
            }
            return result;
        }
    }

    /// Begins a transaction. An idle connection that has broken is replaced.
    fn begin(&self, begin: &str) -> Result<PooledConnection<'_>> {
        let mut connection = self.transaction_pool.take()?;
        let mut begun = connection.client.batch_execute(begin);
        if begun.is_err() && connection.used {
            self.transaction_pool.replace(&mut connection)?;
            begun = connection.client.batch_execute(begin);
        }
        begun.map_err(|error| self.server().store_error(&error))?;
        Ok(connection)
    }
}

impl Tables for PostgresDatabase {
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        let begin = match durability {
            Durability::Synced => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            Durability::Written => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = off"
            }
        };
        self.run(begin, work)
    }

    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
    }
}

impl Database for PostgresDatabase {
    fn lock(&self, lock: &Lock) -> Result<Box<dyn LockGuard + '_>> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        // Of several threads that request the same lock, only one asks the server: waiting threads use no connection.
        let thread_guard = self.thread_locks.lock(lock, deadline)?;
        let mut connection = self.lock_pool.take()?;
        let timeout = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let statements =
            format!("SET statement_timeout = {}; {}", timeout.as_millis(), advisory_locks::lock_statement(lock));
        let store_error = |error: postgres::Error| self.server().store_error(&error);
        let mut locked = connection.client.batch_execute(&statements).map_err(store_error);
        if matches!(locked, Err(StoreError::Unavailable { .. })) && connection.used {
            // It was idle and has broken.
            self.lock_pool.replace(&mut connection)?;
            locked = connection.client.batch_execute(&statements).map_err(store_error);
        }
        locked?;
        let connection = Some(connection);
        Ok(Box::new(PostgresLockGuard { connection, pool: &self.lock_pool, _thread_guard: thread_guard }))
    }

    fn location(&self) -> String {
        self.server().location.clone()
    }

    fn bytes(&self) -> u64 {
        let query = "SELECT pg_database_size(current_database())";
        let size = snapshot(self, |sql| sql.query(query, &[])?.first().map_or(Ok(0), |row| row.int(0)));
        size.ok().and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
    }
}

struct PostgresLockGuard<'a> {
    connection: Option<PooledConnection<'a>>,
    pool: &'a Pool,
    _thread_guard: TableGuard<'a>,
}

impl LockGuard for PostgresLockGuard<'_> {}

impl Drop for PostgresLockGuard<'_> {
    fn drop(&mut self) {
        // If the unlock fails, the connection is closed, which releases the locks too.
        if let Some(mut connection) = self.connection.take()
            && connection.client.batch_execute(advisory_locks::UNLOCK_ALL).is_ok()
        {
            self.pool.put_back(connection);
        }
    }
}
