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
    let columns = [
        "id",
        "memory_id",
        "old_memory",
        "new_memory",
        "event",
        "created_at",
        "updated_at",
        "is_deleted",
        "actor_id",
        "role",
    ];
    let history = read_table(&connection, "history", &columns, |row| {
        Ok(HistoryEvent {
            id: row_id(row)?,
            memory_id: text(row, 1)?.unwrap_or_default(),
            old_memory: text(row, 2)?,
            new_memory: text(row, 3)?,
            event: text(row, 4)?.unwrap_or_default(),
            created_at: text(row, 5)?,
            updated_at: text(row, 6)?,
            is_deleted: row.get::<_, Option<i64>>(7)?.unwrap_or(0) != 0,
            actor_id: text(row, 8)?,
            role: text(row, 9)?,
            scope: Scope::default(),
        })
    })?;
    if columns_of(&connection, "messages")?.is_empty() {
        return Ok((history, Vec::new()));
    }
    let columns = ["id", "session_scope", "role", "content", "name", "created_at"];
    let messages = read_table(&connection, "messages", &columns, |row| {
        Ok(SessionMessage {
            id: row_id(row)?,
            session_scope: text(row, 1)?.unwrap_or_default(),
            role: text(row, 2)?,
            content: text(row, 3)?,
            name: text(row, 4)?,
            created_at: text(row, 5)?,
        })
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
