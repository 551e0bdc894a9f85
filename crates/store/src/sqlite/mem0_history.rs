//! mem0's own `history.db`, read and never written.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use crate::{HistoryEvent, Result, Scope, SessionMessage, StoreError};

/// Reads the history and the messages of a mem0 `history.db`, oldest first. Columns that old versions lack are empty.
///
/// # Errors
/// [`StoreError::NotAStore`] if the database has no such table; [`StoreError::Corrupt`] if it is damaged.
pub fn read_mem0_history(path: &Path) -> Result<(Vec<HistoryEvent>, Vec<SessionMessage>)> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if columns(&connection, "history")?.is_empty() {
        let reason = "it has no table `history`, so it is no history.db of mem0".to_owned();
        return Err(StoreError::NotAStore { path: path.to_owned(), reason });
    }
    let fields = [
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
    let history = rows(&connection, "history", &fields, |row| {
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
    let fields = ["id", "session_scope", "role", "content", "name", "created_at"];
    let messages = match columns(&connection, "messages")?.is_empty() {
        true => Vec::new(),
        false => rows(&connection, "messages", &fields, |row| {
            Ok(SessionMessage {
                id: row_id(row)?,
                session_scope: text(row, 1)?.unwrap_or_default(),
                role: text(row, 2)?,
                content: text(row, 3)?,
                name: text(row, 4)?,
                created_at: text(row, 5)?,
            })
        })?,
    };
    Ok((history, messages))
}

fn columns(connection: &Connection, table: &str) -> Result<HashSet<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?)")?;
    Ok(statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn rows<T>(
    connection: &Connection,
    table: &str,
    fields: &[&str],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let there = columns(connection, table)?;
    let list: Vec<&str> = fields.iter().map(|field| if there.contains(*field) { *field } else { "NULL" }).collect();
    let list = list.join(", ");
    let mut statement = connection.prepare(&format!("SELECT {list}, rowid AS row FROM {table} ORDER BY rowid"))?;
    Ok(statement.query_map([], |row| read(row))?.collect::<Result<_, _>>()?)
}

/// The row's id. SQLite lets a text key be null: such a row is named after its place, the same at every reading.
fn row_id(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(match text(row, 0)? {
        Some(id) => id,
        None => format!("row-{}", row.get::<_, i64>("row")?),
    })
}

/// A text column; other types are read as the text they print as.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}
