//! SQL over SQLite or Postgres: the little that both speak, for the tables that are kept in either.
//!
//! Statements are written once. Parameters are `$1`, `$2`, …; whole numbers are `BIGINT`, truth values 0 and 1; `{serial}`,
//! `{text}` and `{bytes}` stand for the types that have different names, and text compares by code points.

use crate::{Durability, Result};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Text; any Unicode scalar values, NUL among them.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

/// A transaction, or a snapshot to read from.
pub trait Sql {
    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64>;

    /// Runs a query, or a statement that returns rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>>;
}

/// What is held apart while something is written.
#[derive(Clone, Debug)]
pub enum Hold {
    /// These keys, from others that hold one of them or everything.
    Keys(Vec<i64>),
    /// Everything.
    Everything,
}

/// Kept while something is held; let go when dropped, and by the end of the process.
pub trait Held: Send {}

/// A database that tables are kept in. Blocking and shared between threads.
pub trait Database: Send + Sync {
    /// Runs work in a transaction that is committed if the work succeeds.
    fn transact(&self, durability: Durability, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;

    /// Runs work that only reads, in one snapshot.
    fn snapshot(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Result<()>) -> Result<()>;

    /// Waits until nobody else holds any of it, in this process or another.
    ///
    /// # Errors
    /// [`crate::StoreError::Busy`] after half a minute; [`crate::StoreError::Unavailable`].
    fn hold(&self, what: &Hold) -> Result<Box<dyn Held + '_>>;

    /// Where it is, without secrets.
    fn location(&self) -> String;

    /// Bytes on disk, as far as can be told.
    fn bytes(&self) -> u64;
}
