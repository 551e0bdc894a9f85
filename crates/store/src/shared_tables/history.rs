//! The table of history events.

use crate::database::{Row, Sql, Tables, Value, snapshot};
use crate::{HistoryEvent, Result, Scope};

/// Columns that [`event_at`] reads.
const COLUMNS: &str = "id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, actor_id, role, \
                       user_id, agent_id, run_id";

/// The history of a memory, oldest event first.
pub(crate) fn history(tables: &(impl Tables + ?Sized), memory_id: &str) -> Result<Vec<HistoryEvent>> {
    let query = format!("SELECT {COLUMNS} FROM history WHERE memory_id = $1 ORDER BY seq");
    let rows = snapshot(tables, |sql| sql.query(&query, &[memory_id.into()]))?;
    rows.iter().map(event_at).collect()
}

/// The next events after a sequence number, with their numbers.
pub(super) fn events_after(sql: &mut dyn Sql, seq: i64, limit: usize) -> Result<Vec<(i64, HistoryEvent)>> {
    let query = format!("SELECT {COLUMNS}, seq FROM history WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows = sql.query(&query, &[seq.into(), (limit as i64).into()])?;
    rows.iter().map(|row| Ok((row.int(13)?, event_at(row)?))).collect()
}

/// Adds an event, unless the table has one with its id.
pub(crate) fn insert(sql: &mut dyn Sql, event: &HistoryEvent) -> Result<()> {
    let text = |text: &Option<String>| Value::from(text.as_deref());
    let insert = format!(
        "INSERT INTO history({COLUMNS}) VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT(id) DO NOTHING"
    );
    let values = [
        event.id.as_str().into(),
        event.memory_id.as_str().into(),
        text(&event.old_memory),
        text(&event.new_memory),
        event.event.as_str().into(),
        text(&event.created_at),
        text(&event.updated_at),
        i64::from(event.is_deleted).into(),
        text(&event.actor_id),
        text(&event.role),
        text(&event.scope.user_id),
        text(&event.scope.agent_id),
        text(&event.scope.run_id),
    ];
    sql.execute(&insert, &values).map(drop)
}

/// The event in a row that starts with [`COLUMNS`].
fn event_at(row: &Row) -> Result<HistoryEvent> {
    let text = |column: usize| -> Result<Option<String>> { Ok(row.opt_text(column)?.map(str::to_owned)) };
    Ok(HistoryEvent {
        id: row.text(0)?.to_owned(),
        memory_id: row.text(1)?.to_owned(),
        old_memory: text(2)?,
        new_memory: text(3)?,
        event: row.text(4)?.to_owned(),
        created_at: text(5)?,
        updated_at: text(6)?,
        is_deleted: row.int(7)? != 0,
        actor_id: text(8)?,
        role: text(9)?,
        scope: Scope { user_id: text(10)?, agent_id: text(11)?, run_id: text(12)? },
    })
}
