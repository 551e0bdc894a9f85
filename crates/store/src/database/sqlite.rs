//! A database in one SQLite file, which several processes may open.

mod gate;
mod log;

use std::path::{Path, PathBuf};
use std::time::Instant;

use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Params, ToSql, TransactionBehavior, params_from_iter};

use super::hold::{Holding, Holds, PATIENCE};
use super::{Database, Lock, LockGuard, Row, Sql, Tables, Value, failed_before, translate};
use crate::sqlite::open::{FileKind, make_durable, open_file, open_reader, refuse_foreign};
use crate::{Durability, Result, StoreError};
use gate::{Entered, Gate};
use log::Log;

const WORDS: [(&str, &str); 4] = [
    ("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{text}", "TEXT"),
    ("{bytes}", "BLOB"),
    // Whoever writes has the file to itself.
    ("{for_update}", ""),
];

/// Tables in one SQLite file. Several processes may open the same file.
pub struct SqliteDatabase {
    path: PathBuf,
    steps: Vec<String>,
    /// Opened by the first write: who only reads never waits for those who write.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    holds: Holds,
    gate: Gate,
    log: Log,
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDatabase").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteDatabase {
    /// Opens the file, or creates it with its folder, and applies the steps of the schema it has not seen yet: all of
    /// them or none. Steps are batches of statements; those that were released never change.
    ///
    /// # Errors
    /// [`StoreError::NotALedger`], [`StoreError::Damaged`], [`StoreError::NewerSchema`] for a file that is not ours or
    /// not whole (it stays untouched).
    pub fn open(path: &Path, steps: &[&str]) -> Result<Self> {
        let steps: Vec<String> = steps.iter().map(|&step| translate(step, '?', &WORDS)).collect();
        let newest = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let (writer, reader) = match refuse_foreign(path, FileKind::DocumentStore)? {
            Some(found) if found > newest => {
                return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: newest });
            }
            Some(found) if found == newest => {
                let reader = open_reader(path)?;
                // What another process has just done is still in the log only.
                refuse_newer(&reader, path, newest)?;
                (None, Some(reader))
            }
            _ => (Some(open_writer(path, &steps)?), None),
        };
        Ok(Self {
            path: path.to_owned(),
            steps,
            writer: Mutex::new(writer),
            readers: Mutex::new(reader.into_iter().collect()),
            holds: Holds::default(),
            gate: Gate::new(beside(path, ".lock")),
            log: Log::new(beside(path, "-wal")),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Tables for SqliteDatabase {
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        let mut writer = self.writer.lock();
        let connection = match writer.take() {
            Some(connection) => connection,
            None => open_writer(&self.path, &self.steps)?,
        };
        sqlite_transact(writer.insert(connection), durability, work)
    }

    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        let pooled = self.readers.lock().pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        // Kept prepared: there are several for each request. A connection that can't end its snapshot is not used again.
        connection.prepare_cached("BEGIN")?.execute(())?;
        let result = sqlite_snapshot(&connection, work);
        connection.prepare_cached("COMMIT")?.execute(())?;
        self.readers.lock().push(connection);
        result
    }
}

impl Database for SqliteDatabase {
    fn lock(&self, what: &Lock) -> Result<Box<dyn LockGuard + '_>> {
        let deadline = Instant::now() + PATIENCE;
        let holding = self.holds.lock(what, deadline)?;
        let entered = self.gate.enter(deadline)?;
        Ok(Box::new(SqliteHeld { _entered: entered, _holding: holding }))
    }

    fn transact_ahead(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.transact(Durability::Written, work)
    }

    fn sync(&self) -> Result<()> {
        self.log.sync()
    }

    fn location(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn bytes(&self) -> u64 {
        let size = |suffix| std::fs::metadata(beside(&self.path, suffix)).map_or(0, |data| data.len());
        size("") + size("-wal")
    }
}

/// Let go in this order: other processes first.
struct SqliteHeld<'a> {
    _entered: Entered<'a>,
    _holding: Holding<'a>,
}

impl LockGuard for SqliteHeld<'_> {}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open_writer(path: &Path, steps: &[String]) -> Result<Connection> {
    let mut connection = open_file(path, FileKind::DocumentStore)?;
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = refuse_newer(&tx, path, known)?;
    for step in &steps[found as usize..] {
        tx.execute_batch(step)?;
    }
    if found < known || known == 0 {
        tx.pragma_update(None, "application_id", FileKind::DocumentStore.application_id())?;
        tx.pragma_update(None, "user_version", known)?;
    }
    tx.commit()?;
    make_durable(&connection)?;
    Ok(connection)
}

/// The version of the schema; an error if it is beyond what is known here.
fn refuse_newer(connection: &Connection, path: &Path, known: u32) -> Result<u32> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// [`Tables::transact`] on the connection that writes, which is set to keep everything through a power cut.
pub(crate) fn sqlite_transact(
    connection: &mut Connection,
    durability: Durability,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>,
) -> Result<()> {
    let relaxed = Relaxed::of(connection, durability)?;
    let tx = relaxed.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut sql = Statements { connection: &tx, failed: false };
    work(&mut sql)?;
    if sql.failed {
        return Err(failed_before());
    }
    Ok(tx.commit()?)
}

/// [`Tables::snapshot`] on a connection in a snapshot.
pub(crate) fn sqlite_snapshot(snapshot: &Connection, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
    work(&mut Statements { connection: snapshot, failed: false })
}

/// A connection that does not wait for the disk, if a transaction need not; whatever happens, the next one does again.
struct Relaxed<'a> {
    connection: &'a mut Connection,
    relaxed: bool,
}

impl<'a> Relaxed<'a> {
    fn of(connection: &'a mut Connection, durability: Durability) -> Result<Self> {
        let relaxed = durability == Durability::Written;
        if relaxed {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        }
        Ok(Self { connection, relaxed })
    }
}

impl Drop for Relaxed<'_> {
    fn drop(&mut self) {
        if self.relaxed {
            // Fails only without memory, where all is lost anyhow.
            let _ = self.connection.pragma_update(None, "synchronous", "FULL");
        }
    }
}

struct Statements<'a> {
    connection: &'a Connection,
    failed: bool,
}

impl Statements<'_> {
    fn run<T>(&mut self, sql: &str, run: impl FnOnce(CachedStatement<'_>) -> Result<T>) -> Result<T> {
        let prepared = self.connection.prepare_cached(&translate(sql, '?', &WORDS)).map_err(StoreError::from);
        let done = prepared.and_then(run);
        self.failed |= done.is_err();
        done
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
        // Whoever writes has the file to itself.
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
        ValueRef::Real(_) => return Err(StoreError::Corrupt("a column holds a number that is not whole".into())),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => return Err(StoreError::Corrupt(format!("a text: {error}"))),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    })
}
