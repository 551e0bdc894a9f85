//! SQL on SQLite or Postgres: the common subset, for tables that either database can hold.
//!
//! Each statement is written once. Parameters are `$1`, `$2`, …; integers are `BIGINT`, booleans are 0 and 1. `{serial}`,
//! `{text}` and `{bytes}` are replaced by types whose names differ. `{for_update}` at the end of a query locks its rows
//! until the end of the transaction. Text compares by code points.
//!
//! Postgres infers the type of a parameter from its context, and its sums of `BIGINT` are not `BIGINT`: cast them.

mod lock;
#[cfg(feature = "qdrant")]
mod postgres;
mod row;
mod sqlite;

#[cfg(feature = "qdrant")]
pub use postgres::PostgresDatabase;
pub use row::{Row, Value};
pub use sqlite::SqliteDatabase;
pub(crate) use sqlite::{file, pool, sqlite_snapshot, sqlite_statements, sqlite_transact};

use crate::{Result, StoreError, StoreWarning};

/// What a committed transaction survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power failure.
    Synced,
    /// The end of the process, even if it is killed. A power failure may lose the last transactions. Much cheaper.
    Written,
}

/// A transaction or a snapshot. After a statement has failed, the transaction can't be committed.
pub trait Sql {
    /// Runs a statement and returns the number of changed rows.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64>;

    /// Runs a query, or a statement that returns rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;

    /// Locks numbers until the end of the transaction, and waits for other transactions that have locked one of them. A
    /// transaction that writes several rows, which others may write in another order, calls this to avoid a deadlock:
    /// once, before its first write.
    fn lock(&mut self, numbers: &[u32]) -> Result<()>;
}

/// What to lock in a database.
#[derive(Clone, Debug)]
pub enum Lock {
    /// These keys. Other locks on one of them, or on everything, are excluded.
    Keys(Vec<i64>),
    /// Everything. All other locks are excluded.
    Everything,
}

/// Holds a lock until it is dropped. The lock is also released when the process ends.
pub trait LockGuard: Send {}

/// Tables to read and write. The methods block; tables are shared between threads.
pub trait Tables: Send + Sync {
    /// Runs `work` in a transaction that is committed if `work` succeeds.
    ///
    /// If the database rolls back the transaction to end a deadlock, `work` is run again in a new transaction. It must not
    /// keep results of an earlier run.
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;

    /// Runs `work`, which only reads, in one snapshot.
    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;
}

/// A separate database, with locks between processes.
pub trait Database: Tables {
    /// Waits until no other thread or process holds a conflicting lock. Requests are served in their order. A thread that
    /// holds a lock must not request another one.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after 30 seconds; [`StoreError::Unavailable`].
    fn lock(&self, lock: &Lock) -> Result<Box<dyn LockGuard + '_>>;

    /// Like [`Tables::transact`], but the commit survives a power failure only after the next return of
    /// [`Database::sync`], which may run at the same time as other work.
    fn transact_unsynced(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.transact(Durability::Synced, work)
    }

    /// Waits until all earlier commits survive a power failure; see [`Database::transact_unsynced`].
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Why writes are refused, if the reason is known; `None` if they are accepted.
    fn refusal(&self) -> Option<StoreWarning> {
        None
    }

    /// The location, without secrets.
    fn location(&self) -> String;

    /// The size on disk in bytes; 0 if it is unknown.
    fn bytes(&self) -> u64;
}

/// [`Tables::transact`] for work that has a result.
pub fn transact<T>(
    tables: &(impl Tables + ?Sized),
    durability: Durability,
    mut work: impl FnMut(&mut dyn Sql) -> Result<T>,
) -> Result<T> {
    with_result(|work| tables.transact(durability, work), &mut work)
}

/// [`Database::transact_unsynced`] for work that has a result.
#[cfg(feature = "qdrant")]
pub(crate) fn transact_unsynced<T>(
    database: &dyn Database,
    mut work: impl FnMut(&mut dyn Sql) -> Result<T>,
) -> Result<T> {
    with_result(|work| database.transact_unsynced(work), &mut work)
}

/// [`Tables::snapshot`] for work that has a result.
pub fn snapshot<T>(tables: &(impl Tables + ?Sized), mut work: impl FnMut(&mut dyn Sql) -> Result<T>) -> Result<T> {
    with_result(|work| tables.snapshot(work), &mut work)
}

/// Work on a transaction, in the form that [`Tables`] takes.
pub(crate) type Work<'a> = dyn FnMut(&mut dyn Sql) -> Result<()> + 'a;

fn with_result<T>(
    run: impl FnOnce(&mut Work<'_>) -> Result<()>,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<T>,
) -> Result<T> {
    let mut result = None;
    run(&mut |sql| {
        result = Some(work(sql)?);
        Ok(())
    })?;
    result.ok_or_else(|| StoreError::Database("the work of the transaction was not run".into()))
}

/// Translates a statement to the dialect of one database: `words` are replaced, and `parameter` is the character before
/// the number of a parameter.
fn translate(sql: &str, parameter: char, words: &[(&str, &str)]) -> String {
    let mut translated = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(at) = rest.find(['$', '{']) {
        let (before, found) = rest.split_at(at);
        translated.push_str(before);
        let word = words.iter().find_map(|(word, meaning)| Some((found.strip_prefix(word)?, meaning)));
        rest = match word {
            Some((after, meaning)) => {
                translated.push_str(meaning);
                after
            }
            None => {
                let number = found.starts_with('$') && found[1..].starts_with(|next: char| next.is_ascii_digit());
                translated.push(if number { parameter } else { found.as_bytes()[0].into() });
                &found[1..]
            }
        };
    }
    translated.push_str(rest);
    translated
}

/// The error of a transaction whose work ignored a failed statement.
fn earlier_failure() -> StoreError {
    StoreError::Database("an earlier statement of the transaction failed; nothing was written".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_translated() {
        let words = [("{text}", "TEXT"), ("{for_update}", "")];
        let check = |sql: &str, expected: &str| assert_eq!(translate(sql, '?', &words), expected);
        check("", "");
        check("a {text} NOT NULL, b {text}", "a TEXT NOT NULL, b TEXT");
        check("SELECT 'ä', $1, $12 WHERE a = $2 {for_update}", "SELECT 'ä', ?1, ?12 WHERE a = ?2 ");
        check("'$' '{' '{other}' $", "'$' '{' '{other}' $");
    }
}
