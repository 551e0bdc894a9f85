//! SQL over SQLite or Postgres: the little that both speak, for the tables that are kept in either.
//!
//! Statements are written once. Parameters are `$1`, `$2`, …; whole numbers are `BIGINT`, truth values 0 and 1; `{serial}`,
//! `{text}` and `{bytes}` stand for the types that have different names, `{for_update}` ends a query whose rows nobody
//! else may change before the transaction is through. Text compares by code points.
//!
//! Postgres finds out a parameter's type by where it stands, and its sums of `BIGINT` are no `BIGINT`: cast them.

mod hold;
#[cfg(feature = "qdrant")]
mod postgres;
mod row;
mod sqlite;

#[cfg(feature = "qdrant")]
pub use postgres::PostgresDatabase;
pub use row::{Row, Value};
pub use sqlite::SqliteDatabase;
pub(crate) use sqlite::{sqlite_snapshot, sqlite_transact};

use crate::{Durability, Result};

/// A transaction, or a snapshot to read from. Once a statement has failed, the transaction can't be committed.
pub trait Sql {
    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64>;

    /// Runs a query, or a statement that returns rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;

    /// Waits for the end of other transactions that have locked one of these numbers. Who is about to write several rows
    /// that others may write in another order avoids a deadlock by it. Once a transaction, and before it writes.
    fn lock(&mut self, numbers: &[u32]) -> Result<()>;
}

/// What is held apart while something is written.
#[derive(Clone, Debug)]
pub enum Lock {
    /// These keys, from others that hold one of them or everything.
    Keys(Vec<i64>),
    /// Everything.
    Everything,
}

/// Kept while something is held; let go when dropped, and by the end of the process.
pub trait LockGuard: Send {}

/// Tables to read and write. Blocking and shared between threads.
pub trait Tables: Send + Sync {
    /// Runs work in a transaction that is committed if the work succeeds.
    ///
    /// The work is run again, in a new transaction, where the database undid it to end a deadlock: only what its last
    /// run left behind counts.
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;

    /// Runs work that only reads, in one snapshot.
    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;
}

/// A database of its own that tables are kept in.
pub trait Database: Tables {
    /// Waits until nobody else holds any of it, in this process or another. First come, first served. A thread that
    /// holds something must not ask for more.
    ///
    /// # Errors
    /// [`crate::StoreError::Busy`] after half a minute; [`crate::StoreError::Unavailable`].
    fn lock(&self, what: &Lock) -> Result<Box<dyn LockGuard + '_>>;

    /// [`Tables::transact`], [`Durability::Synced`] only once [`Database::sync`] has returned after it, which may take its
    /// time while other work goes on.
    fn transact_ahead(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()> {
        self.transact(Durability::Synced, work)
    }

    /// Waits until what was committed before is safe from a power cut; see [`Database::transact_ahead`].
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Where it is, without secrets.
    fn location(&self) -> String;

    /// Bytes on disk, as far as can be told.
    fn bytes(&self) -> u64;
}

/// [`Tables::transact`] for work that has a result.
pub fn transact<T>(
    tables: &(impl Tables + ?Sized),
    durability: Durability,
    mut work: impl FnMut(&mut dyn Sql) -> Result<T>,
) -> Result<T> {
    returned(|work| tables.transact(durability, work), &mut work)
}

/// [`Database::transact_ahead`] for work that has a result.
#[cfg(feature = "qdrant")]
pub(crate) fn transact_ahead<T>(database: &dyn Database, mut work: impl FnMut(&mut dyn Sql) -> Result<T>) -> Result<T> {
    returned(|work| database.transact_ahead(work), &mut work)
}

/// [`Tables::snapshot`] for work that has a result.
pub fn snapshot<T>(tables: &(impl Tables + ?Sized), mut work: impl FnMut(&mut dyn Sql) -> Result<T>) -> Result<T> {
    returned(|work| tables.snapshot(work), &mut work)
}

/// Work on a transaction, as [`Tables`] takes it.
type Work<'a> = dyn FnMut(&mut dyn Sql) -> Result<()> + 'a;

fn returned<T>(
    run: impl FnOnce(&mut Work<'_>) -> Result<()>,
    work: &mut dyn FnMut(&mut dyn Sql) -> Result<T>,
) -> Result<T> {
    let mut done = None;
    run(&mut |sql| {
        done = Some(work(sql)?);
        Ok(())
    })?;
    done.ok_or_else(|| crate::StoreError::Database("the transaction's work was not run".into()))
}

/// A statement in the words of one of the two; `parameter` is what stands before a parameter's number.
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

/// What is told of a transaction whose work passed over a failure.
fn failed_before() -> crate::StoreError {
    crate::StoreError::Database("a statement of the transaction had failed; nothing was written".into())
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
