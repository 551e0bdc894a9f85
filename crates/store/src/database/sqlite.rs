//! A database in one SQLite file that several processes may open.

pub(crate) mod file;
mod file_lock;
pub(crate) mod pool;
mod shared_sync;

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Params, ToSql, TransactionBehavior, params_from_iter};

use super::lock::{LOCK_TIMEOUT, LockTable, TableGuard};
use super::{Database, Durability, Lock, LockGuard, Row, Sql, Tables, Value, earlier_failure, translate};
use crate::{Result, StoreError, StoreWarning};
use file::{FileKind, check_file, make_durable, open_file, open_reader, real_path, size_with_log, with_suffix};
use file_lock::{FileLock, FileLockGuard};
use pool::{ConnectionPool, open_for_writing};
use shared_sync::SharedSync;

const WORDS: [(&str, &str); 4] = [
    ("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{text}", "TEXT"),
    ("{bytes}", "BLOB"),
    // A write transaction locks the whole file.
    ("{for_update}", ""),
];

/// Tables in one SQLite file. Several processes may open the same file.
pub struct SqliteDatabase {
    path: PathBuf,
    steps: Vec<String>,
    pool: ConnectionPool,
    thread_locks: LockTable,
    file_lock: FileLock,
    syncs: SharedSync,
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDatabase").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteDatabase {
    /// Opens the file, or creates it with its folder. Applies the schema steps that are not applied yet: all of them or
    /// none. A step is a batch of statements; released steps never change.
    ///
    /// # Errors
    /// [`StoreError::NotALedger`], [`StoreError::Damaged`], [`StoreError::NewerSchema`] for a file that is not a ledger, is
    /// damaged, or is too new. The file is not changed then.
    pub fn open(path: &Path, steps: &[&str]) -> Result<Self> {
        let steps: Vec<String> = steps.iter().map(|&step| translate(step, '?', &WORDS)).collect();
        let newest = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let (writer, reader) = match check_file(path, FileKind::Ledger)? {
            Some(found) if found > newest => {
                return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: newest });
            }
            Some(found) if found == newest => {
                let reader = open_reader(path)?;
                // The last commits of another process may be only in the log, which the header does not include.
                check_version(&reader.connection, path, newest)?;
                (None, Some(reader))
            }
            _ => (Some(open_for_writing(path, || open_writer(path, &steps))?), None),
        };
        Ok(Self {
            path: path.to_owned(),
            steps,
            pool: ConnectionPool::new(path, writer, reader),
            thread_locks: LockTable::default(),
            file_lock: FileLock::new(with_suffix(&real_path(path), ".lock")),
            syncs: SharedSync::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Tables for SqliteDatabase {
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        let open = || open_writer(&self.path, &self.steps);
        self.pool.write(open, || (), |connection| sqlite_transact(connection, durability, work))
    }

    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.pool.read(|connection| {
            // Prepared statements, because each request has several snapshots.
            connection.prepare_cached("BEGIN")?.execute(())?;
            let result = sqlite_snapshot(connection, work);
            connection.prepare_cached("COMMIT")?.execute(())?;
            result
        })
    }
}

impl Database for SqliteDatabase {
    fn lock(&self, lock: &Lock) -> Result<Box<dyn LockGuard + '_>> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let thread_guard = self.thread_locks.lock(lock, deadline)?;
        let file_guard = self.file_lock.acquire(deadline)?;
        Ok(Box::new(SqliteLockGuard { _file_guard: file_guard, _thread_guard: thread_guard }))
    }

    fn transact_unsynced(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.transact(Durability::Written, work)
    }

    fn sync(&self) -> Result<()> {
        // SQLite syncs the whole log with a commit that changes something. This number never differs.
        let mark = format!("PRAGMA application_id = {}", FileKind::Ledger.application_id());
        self.syncs.run(|| {
            self.transact(Durability::Synced, &mut |sql| {
                sql.execute(&mark, &[])?;
                Ok(())
            })
        })
    }

    fn refusal(&self) -> Option<StoreWarning> {
        self.pool.refusal(|| open_writer(&self.path, &self.steps))
    }

    fn location(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn bytes(&self) -> u64 {
        size_with_log(&self.path)
    }
}

/// The fields are dropped in this order: the lock between processes first.
struct SqliteLockGuard<'a> {
    _file_guard: FileLockGuard<'a>,
    _thread_guard: TableGuard<'a>,
}

impl LockGuard for SqliteLockGuard<'_> {}

fn open_writer(path: &Path, steps: &[String]) -> Result<Connection> {
    let mut connection = open_file(path, FileKind::Ledger)?;
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = check_version(&tx, path, known)?;
    for step in &steps[found as usize..] {
        tx.execute_batch(step)?;
    }
    if found < known || known == 0 {
        tx.pragma_update(None, "application_id", FileKind::Ledger.application_id())?;
        tx.pragma_update(None, "user_version", known)?;
    }
    tx.commit()?;
    make_durable(&connection)?;
    Ok(connection)
}

/// The schema version; an error if it is newer than the newest version that this program knows.
fn check_version(connection: &Connection, path: &Path, known: u32) -> Result<u32> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// [`Tables::transact`] on the writer's connection, which is set to sync each commit.
pub(crate) fn sqlite_transact(
    connection: &mut Connection,
    durability: Durability,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>,
) -> Result<()> {
    let durability = DurabilityGuard::set(connection, durability)?;
    let tx = durability.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut sql = Statements { connection: &tx, failed: false };
    work(&mut sql)?;
    if sql.failed {
        return Err(earlier_failure());
    }
    Ok(tx.commit()?)
}

/// [`Tables::snapshot`] on a connection that is in a snapshot.
pub(crate) fn sqlite_snapshot(snapshot: &Connection, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
    work(&mut Statements { connection: snapshot, failed: false })
}

/// Turns off syncing for one transaction if its durability allows it, and turns it on again when dropped.
struct DurabilityGuard<'a> {
    connection: &'a mut Connection,
    unsynced: bool,
}

impl<'a> DurabilityGuard<'a> {
    fn set(connection: &'a mut Connection, durability: Durability) -> Result<Self> {
        let unsynced = durability == Durability::Written;
        if unsynced {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        }
        Ok(Self { connection, unsynced })
    }
}

impl Drop for DurabilityGuard<'_> {
    fn drop(&mut self) {
        if self.unsynced {
            // This fails only if memory allocation fails.
            let _ = self.connection.pragma_update(None, "synchronous", "FULL");
        }
    }
}

/// Statements on a connection that is in a transaction of its caller.
pub(crate) fn sqlite_statements(connection: &Connection) -> impl Sql {
    Statements { connection, failed: false }
}

struct Statements<'a> {
    connection: &'a Connection,
    failed: bool,
}

impl Statements<'_> {
    fn run<T>(&mut self, sql: &str, run: impl FnOnce(CachedStatement<'_>) -> Result<T>) -> Result<T> {
        let prepared = self.connection.prepare_cached(&translate(sql, '?', &WORDS)).map_err(StoreError::from);
        let result = prepared.and_then(run);
        self.failed |= result.is_err();
        result
    }
}

impl Sql for Statements<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        self.run(sql, |mut statement| Ok(statement.execute(parameters(values))? as u64))
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        self.run(sql, |mut statement| {
            let columns = statement.column_count();
            let mut rows = statement.query(parameters(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Row((0..columns).map(|at| value_at(row.get_ref(at)?)).collect::<Result<_>>()?));
            }
            Ok(found)
        })
    }

    fn lock(&mut self, _: &[u32]) -> Result<()> {
        // A write transaction locks the whole file.
        Ok(())
    }
}

fn parameters(values: &[Value]) -> impl Params {
    params_from_iter(values)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value_at(value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(_) => return Err(StoreError::Corrupt("a column has a number that is not an integer".into())),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => return Err(StoreError::Corrupt(format!("a text: {error}"))),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    })
}
