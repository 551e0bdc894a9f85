//! The table of history events.

use crate::database::{Row, Sql, Tables, Value, snapshot};
use crate::{HistoryEvent, Result, SCOPE_KEYS, Scope};

/// Number of columns of text; the flag and the owner's ids follow them.
const TEXTS: usize = HistoryEvent::TEXT_COLUMNS.len();

/// Columns that [`event_at`] reads.
fn columns() -> String {
    [&HistoryEvent::TEXT_COLUMNS[..], &["is_deleted"], &SCOPE_KEYS].concat().join(", ")
}

/// The history of a memory, oldest event first.
pub(crate) fn history(tables: &(impl Tables + ?Sized), memory_id: &str) -> Result<Vec<HistoryEvent>> {
    let query = format!("SELECT {} FROM history WHERE memory_id = $1 ORDER BY seq", columns());
    let rows = snapshot(tables, |sql| sql.query(&query, &[memory_id.into()]))?;
    rows.iter().map(event_at).collect()
}

/// The next events after a sequence number, with their numbers.
pub(super) fn events_after(sql: &mut dyn Sql, seq: i64, limit: usize) -> Result<Vec<(i64, HistoryEvent)>> {
    let query = format!("SELECT {}, seq FROM history WHERE seq > $1 ORDER BY seq LIMIT $2", columns());
    let rows = sql.query(&query, &[seq.into(), (limit as i64).into()])?;
    rows.iter().map(|row| Ok((row.int(TEXTS + 4)?, event_at(row)?))).collect()
}

/// Adds an event, unless the table has one with its id.
pub(crate) fn insert(sql: &mut dyn Sql, event: &HistoryEvent) -> Result<()> {
    let insert = format!(
        "INSERT INTO history({}) VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT(id) DO NOTHING",
        columns()
    );
    let texts = event.texts().into_iter().map(Value::from);
    let ids = event.scope.ids().into_iter().map(Value::from);
    let values: Vec<Value> = texts.chain([i64::from(event.is_deleted).into()]).chain(ids).collect();
    sql.execute(&insert, &values).map(drop)
}

/// The event in a row that starts with [`columns`].
fn event_at(row: &Row) -> Result<HistoryEvent> {
    let [user_id, agent_id, run_id] = row.texts(TEXTS + 1)?;
    Ok(HistoryEvent::from_texts(row.texts(0)?, row.int(TEXTS)? != 0, Scope { user_id, agent_id, run_id }))
}
