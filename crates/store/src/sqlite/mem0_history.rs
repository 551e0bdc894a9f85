//! Reads mem0's own `history.db`. It is never written.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use crate::{HistoryEvent, Result, Scope, SessionMessage, StoreError};

/// Reads the history and the messages of a mem0 `history.db`, oldest first. Columns that old versions do not have are empty.
///
/// # Errors
/// [`StoreError::NotAStore`] if the database has no such table; [`StoreError::Corrupt`] if it is damaged.
pub fn read_mem0_history(path: &Path) -> Result<(Vec<HistoryEvent>, Vec<SessionMessage>)> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if columns_of(&connection, "history")?.is_empty() {
        let reason = "it has no table `history`, so it is not a history.db of mem0".to_owned();
        return Err(StoreError::NotAStore { path: path.to_owned(), reason });
    }
    let texts = HistoryEvent::TEXT_COLUMNS;
    let history = read_table(&connection, "history", &[&texts[..], &["is_deleted"]].concat(), |row| {
        let is_deleted = row.get::<_, Option<i64>>(texts.len())?.unwrap_or(0) != 0;
        Ok(HistoryEvent::from_texts(texts_of(row)?, is_deleted, Scope::default()))
    })?;
    if columns_of(&connection, "messages")?.is_empty() {
        return Ok((history, Vec::new()));
    }
    let messages = read_table(&connection, "messages", &SessionMessage::COLUMNS, |row| {
        Ok(SessionMessage::from_texts(texts_of(row)?))
    })?;
    Ok((history, messages))
}

fn columns_of(connection: &Connection, table: &str) -> Result<HashSet<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
    Ok(statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Reads these columns of a table, and `NULL` for those that it does not have.
fn read_table<T>(
    connection: &Connection,
    table: &str,
    columns: &[&str],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let existing = columns_of(connection, table)?;
    let list: Vec<&str> =
        columns.iter().map(|column| if existing.contains(*column) { *column } else { "NULL" }).collect();
    let list = list.join(", ");
    let mut statement = connection.prepare(&format!("SELECT {list}, rowid AS row FROM {table} ORDER BY rowid"))?;
    Ok(statement.query_map([], |row| read(row))?.collect::<Result<_, _>>()?)
}

/// The first columns of a row, which are texts and start with its id.
fn texts_of<const N: usize>(row: &Row<'_>) -> rusqlite::Result<[Option<String>; N]> {
    let mut texts = [const { None }; N];
    texts[0] = Some(row_id(row)?);
    for (at, value) in texts.iter_mut().enumerate().skip(1) {
        *value = text(row, at)?;
    }
    Ok(texts)
}

/// The id of the row. SQLite allows a null text key: such a row gets an id made of its row number, which is the same in
/// every read.
fn row_id(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(match text(row, 0)? {
        Some(id) => id,
        None => format!("row-{}", row.get::<_, i64>("row")?),
    })
}

/// The value of a text column. Values of other types are converted to text.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}
