//! The table of session messages.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::database::{Row, Sql, Tables, Value, snapshot, transact};
use crate::payload::parse_time;
use crate::{Durability, MessageSelector, Result, Scope, SessionMessage};

/// Ids in one statement.
const BATCH: usize = 500;

/// Columns that [`message_at`] reads.
fn columns() -> String {
    SessionMessage::COLUMNS.join(", ")
}

/// The last messages of exactly this scope, oldest first.
pub(crate) fn last_messages(
    tables: &(impl Tables + ?Sized),
    scope: &Scope,
    count: usize,
) -> Result<Vec<SessionMessage>> {
    let query = format!(
        "SELECT {} FROM messages WHERE session_scope = $1 ORDER BY seq DESC LIMIT {}",
        columns(),
        count.min(1 << 20)
    );
    let rows = snapshot(tables, |sql| sql.query(&query, &[scope.session_scope().into()]))?;
    rows.iter().rev().map(message_at).collect()
}

/// Messages by id, in the requested order; `None` for an id that does not exist.
pub(crate) fn messages(tables: &(impl Tables + ?Sized), ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
    let query = format!("SELECT {} FROM messages WHERE id = $1", columns());
    snapshot(tables, |sql| {
        let one = |id: &String| sql.query(&query, &[id.as_str().into()])?.first().map(message_at).transpose();
        ids.iter().map(one).collect()
    })
}

/// The next messages after a sequence number, with their numbers.
pub(super) fn messages_after(sql: &mut dyn Sql, seq: i64, limit: usize) -> Result<Vec<(i64, SessionMessage)>> {
    let query = format!("SELECT {}, seq FROM messages WHERE seq > $1 ORDER BY seq LIMIT $2", columns());
    let rows = sql.query(&query, &[seq.into(), (limit as i64).into()])?;
    rows.iter().map(|row| Ok((row.int(SessionMessage::COLUMNS.len())?, message_at(row)?))).collect()
}

/// Adds a message, unless the table has one with its id.
pub(crate) fn insert(sql: &mut dyn Sql, message: &SessionMessage) -> Result<()> {
    let insert =
        format!("INSERT INTO messages({}) VALUES($1, $2, $3, $4, $5, $6) ON CONFLICT(id) DO NOTHING", columns());
    let values = message.texts().map(Value::from);
    sql.execute(&insert, &values).map(drop)
}

/// The owners of messages, each once, as [`Scope::session_scope`] writes them.
pub(crate) fn message_owners(tables: &(impl Tables + ?Sized)) -> Result<Vec<String>> {
    let rows = snapshot(tables, |sql| sql.query("SELECT DISTINCT session_scope FROM messages", &[]))?;
    rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
}

/// Ids of messages that an interrupted deletion left: their owner has no memories, and memories of the owner were deleted after
/// the messages were sent. `exists` is the condition for rows of existing memories.
pub(crate) fn leftovers(sql: &mut dyn Sql, exists: &str) -> Result<Vec<String>> {
    let deletions = sql.query(
        "SELECT user_id, agent_id, run_id, max(updated_at) FROM history WHERE event = 'DELETE'
         GROUP BY user_id, agent_id, run_id",
        &[],
    )?;
    let mut deleted: BTreeMap<Scope, Timestamp> = BTreeMap::new();
    for row in &deletions {
        let [user_id, agent_id, run_id] = row.texts(0)?;
        if let Some(at) = row.opt_text(3)?.and_then(parse_time) {
            deleted.insert(Scope { user_id, agent_id, run_id }, at);
        }
    }
    let mut found = Vec::new();
    for row in sql.query("SELECT DISTINCT session_scope FROM messages", &[])? {
        let scope = Scope::from_session_scope(row.text(0)?);
        let Some(at) = deleted.get(&scope) else { continue };
        if has_memories(sql, &scope, exists)? {
            continue;
        }
        let sent = "SELECT id, created_at FROM messages WHERE session_scope = $1";
        for message in sql.query(sent, &[row.text(0)?.into()])? {
            if message.opt_text(1)?.and_then(parse_time).is_some_and(|sent| sent <= *at) {
                found.push(message.text(0)?.to_owned());
            }
        }
    }
    Ok(found)
}

/// Whether exactly this scope has memories.
fn has_memories(sql: &mut dyn Sql, scope: &Scope, exists: &str) -> Result<bool> {
    let mut ids = [0_i64; 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let rows =
            sql.query("SELECT id FROM scopes WHERE kind = $1 AND value = $2", &[(kind as i64).into(), value.into()])?;
        let Some(row) = rows.first() else { return Ok(false) };
        ids[kind] = row.int(0)?;
    }
    let query = format!(
        "SELECT 1 FROM memories WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3 AND {exists} LIMIT 1"
    );
    Ok(!sql.query(&query, &ids.map(Value::from))?.is_empty())
}

/// Deletes messages; returns the number of deleted messages.
pub(crate) fn delete_messages(tables: &(impl Tables + ?Sized), which: &MessageSelector) -> Result<u64> {
    transact(tables, Durability::Synced, |sql| delete(sql, which))
}

/// The same in a transaction of the caller.
pub(crate) fn delete(sql: &mut dyn Sql, which: &MessageSelector) -> Result<u64> {
    match which {
        MessageSelector::All => sql.execute("DELETE FROM messages", &[]),
        MessageSelector::OfOwners(owners) => owners.iter().try_fold(0, |deleted, owner| {
            Ok(deleted + sql.execute("DELETE FROM messages WHERE session_scope = $1", &[owner.as_str().into()])?)
        }),
        MessageSelector::Ids(ids) => {
            let mut deleted = 0;
            for batch in ids.chunks(BATCH) {
                let parameters: Vec<String> = (1..=batch.len()).map(|number| format!("${number}")).collect();
                let values: Vec<Value> = batch.iter().cloned().map(Value::Text).collect();
                let statement = format!("DELETE FROM messages WHERE id IN ({})", parameters.join(", "));
                deleted += sql.execute(&statement, &values)?;
            }
            Ok(deleted)
        }
    }
}

/// The message in a row that starts with the columns of a message.
fn message_at(row: &Row) -> Result<SessionMessage> {
    Ok(SessionMessage::from_texts(row.texts(0)?))
}
