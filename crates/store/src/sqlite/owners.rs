//! Owners of memories, read from one index.

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::scopes::scope_id;
use crate::owners::{OwnerCounts, OwnerFields};
use crate::{Owner, Result};

pub(super) fn owners(connection: &Connection, within: Option<&str>) -> Result<Vec<Owner>> {
    let user = match within {
        None => None,
        Some(user) => match scope_id(connection, 0, user)? {
            Some((id, _)) => Some(id),
            None => return Ok(Vec::new()),
        },
    };
    let condition = if user.is_some() { "WHERE user_scope = ?" } else { "" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT user_scope, agent_scope, run_scope, app, created_at, updated_at
         FROM memories INDEXED BY memories_owners {condition}"
    ))?;
    let mut rows = statement.query(params_from_iter(user))?;
    let mut counts = OwnerCounts::default();
    while let Some(row) = rows.next()? {
        let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        let fields = OwnerFields { app: text(3)?, created_at: text(4)?, updated_at: text(5)? };
        counts.add([row.get(0)?, row.get(1)?, row.get(2)?], &fields);
    }
    let mut scope = connection.prepare_cached("SELECT kind, value FROM scopes WHERE id = ?")?;
    // The check of the store finds memories whose scope id has no row.
    counts.finish(|id| Ok(scope.query_row([id], |row| Ok((row.get::<_, u16>(0)?.into(), row.get(1)?))).optional()?))
}
