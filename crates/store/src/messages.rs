//! What both stores keep in the same tables: the messages that memories were made of, and which memory stands in for
//! which.

use crate::database::{Row, Tables, Value, snapshot, transact};
use crate::{Durability, Link, MemoryId, Result, Scope, SessionMessage, StoreError};

/// Which messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSelector {
    /// All there are.
    All,
    /// Those of every owner that carries all of these ids, of which there is at least one.
    Of(Scope),
    /// Those with these ids.
    Ids(Vec<String>),
}

/// Ids looked for at a time.
const STRETCH: usize = 500;
/// Columns [`message_at`] reads.
pub(crate) const COLUMNS: &str = "SELECT id, session_scope, role, content, name, created_at FROM messages";

/// The last messages of exactly this scope, oldest first.
pub(crate) fn last(tables: &(impl Tables + ?Sized), scope: &Scope, count: usize) -> Result<Vec<SessionMessage>> {
    let sql = format!("{COLUMNS} WHERE session_scope = $1 ORDER BY seq DESC LIMIT {}", count.min(1 << 20));
    let rows = snapshot(tables, |found| found.query(&sql, &[Value::Text(scope.session_scope())]))?;
    rows.iter().rev().map(message_at).collect()
}

/// Messages by id, in the order asked; `None` where there is none.
pub(crate) fn get(tables: &(impl Tables + ?Sized), ids: &[String]) -> Result<Vec<Option<SessionMessage>>> {
    let sql = format!("{COLUMNS} WHERE id = $1");
    snapshot(tables, |found| {
        let one = |id: &String| found.query(&sql, &[Value::Text(id.clone())])?.first().map(message_at).transpose();
        ids.iter().map(one).collect()
    })
}

/// Removes messages; returns how many there were.
pub(crate) fn forget(tables: &(impl Tables + ?Sized), which: &MessageSelector) -> Result<u64> {
    transact(tables, Durability::Synced, |sql| match which {
        MessageSelector::All => sql.execute("DELETE FROM messages", &[]),
        MessageSelector::Of(scope) => {
            let mut forgotten = 0;
            for row in sql.query("SELECT DISTINCT session_scope FROM messages", &[])? {
                let owner = row.text(0)?;
                if carries(owner, scope) {
                    let owner = Value::Text(owner.to_owned());
                    forgotten += sql.execute("DELETE FROM messages WHERE session_scope = $1", &[owner])?;
                }
            }
            Ok(forgotten)
        }
        MessageSelector::Ids(ids) => {
            let mut forgotten = 0;
            for ids in ids.chunks(STRETCH) {
                let places: Vec<String> = (1..=ids.len()).map(|at| format!("${at}")).collect();
                let values: Vec<Value> = ids.iter().cloned().map(Value::Text).collect();
                let sql_text = format!("DELETE FROM messages WHERE id IN ({})", places.join(", "));
                forgotten += sql.execute(&sql_text, &values)?;
            }
            Ok(forgotten)
        }
    })
}

/// Links that lead from newer facts to these.
pub(crate) fn successors(tables: &(impl Tables + ?Sized), ids: &[MemoryId]) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for ids in ids.chunks(STRETCH) {
        let places: Vec<String> = (1..=ids.len()).map(|at| format!("${at}")).collect();
        let values: Vec<Value> = ids.iter().map(|id| Value::Bytes(id.to_bytes())).collect();
        let sql = format!(
            "SELECT source, target, kind, created_at FROM links WHERE kind = '{}' AND target IN ({})
             ORDER BY created_at, source",
            Link::SUPERSEDES,
            places.join(", ")
        );
        for row in snapshot(tables, |found| found.query(&sql, &values))? {
            let id = |at: usize| {
                MemoryId::from_bytes(row.bytes(at)?).ok_or_else(|| StoreError::Corrupt("a link has no id".into()))
            };
            let (kind, created_at) = (row.text(2)?.to_owned(), row.text(3)?.to_owned());
            links.push(Link { source: id(0)?, target: id(1)?, kind, created_at });
        }
    }
    Ok(links)
}

/// Whether an owner, as [`Scope::session_scope`] writes it, carries all ids of the scope.
fn carries(owner: &str, scope: &Scope) -> bool {
    let asked = scope.session_scope();
    !asked.is_empty() && asked.split('&').all(|id| owner.split('&').any(|own| own == id))
}

pub(crate) fn message_at(row: &Row) -> Result<SessionMessage> {
    let own = |at: usize| -> Result<Option<String>> { Ok(row.opt_text(at)?.map(str::to_owned)) };
    Ok(SessionMessage {
        id: row.text(0)?.to_owned(),
        session_scope: row.text(1)?.to_owned(),
        role: own(2)?,
        content: own(3)?,
        name: own(4)?,
        created_at: own(5)?,
    })
}
