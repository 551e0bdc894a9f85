//! The ids and versions of scopes, and conditions on them.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use crate::forms::id_forms;
use crate::{Filter, Result, Scope, ScopeVersion, StoreError};

/// The condition "has this scope id", by kind, in a form that lets SQLite use the index of that kind.
pub(super) const HAS_SCOPE_ID: [&str; 3] =
    ["user_scope = ?", "(agent_scope = ? AND agent_scope <> 0)", "(run_scope = ? AND run_scope <> 0)"];

/// The id and the version of a scope key's value; `None` if no memory ever had it.
pub(super) fn scope_id(connection: &Connection, kind: usize, value: &str) -> Result<Option<(i64, i64)>> {
    let mut statement = connection.prepare_cached("SELECT id, version FROM scopes WHERE kind = ? AND value = ?")?;
    Ok(statement.query_row(params![kind as i64, value], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// The first of the forms of an id that a memory has.
pub(super) fn known_form(connection: &Connection, kind: usize, id: &str) -> Result<Option<String>> {
    for form in id_forms(id) {
        let Some((scope, _)) = scope_id(connection, kind, &form)? else { continue };
        let query = format!("SELECT 1 FROM memories WHERE {} LIMIT 1", HAS_SCOPE_ID[kind]);
        if connection.prepare_cached(&query)?.exists([scope])? {
            return Ok(Some(form));
        }
    }
    Ok(None)
}

pub(super) fn scope_version(connection: &Connection, scope: &Scope) -> Result<ScopeVersion> {
    let mut version = ScopeVersion::default();
    for (kind, value) in scope.ids().into_iter().enumerate() {
        if let Some(value) = value {
            version.0[kind] = scope_id(connection, kind, value)?.map_or(0, |(_, version)| version);
        }
    }
    Ok(version)
}

/// The condition "has all ids of this scope" and its values; `None` if no memory can match.
pub(super) fn scope_condition(connection: &Connection, scope: &Scope) -> Result<Option<(String, Vec<Value>)>> {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some((id, _)) = scope_id(connection, kind, value)? else { return Ok(None) };
        conditions.push(HAS_SCOPE_ID[kind]);
        values.push(Value::Integer(id));
    }
    if conditions.is_empty() {
        return Err(StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into()));
    }
    Ok(Some((conditions.join(" AND "), values)))
}

/// The condition for the scope ids that a filter pins, and its values; `None` if no memory can match.
pub(super) fn pinned_condition(
    connection: &Connection,
    filter: Option<&Filter>,
) -> Result<Option<(String, Vec<Value>)>> {
    let everything = Ok(Some(("1 = 1".to_owned(), Vec::new())));
    let Some(filter) = filter else { return everything };
    let pinned = filter.scope();
    if pinned.is_contradiction() {
        return Ok(None);
    }
    if !pinned.any_pinned() {
        return everything;
    }
    scope_condition(connection, &Scope::pinned_by(filter))
}

/// The three columns of exactly this scope; `None` if no memory can match.
pub(super) fn exact_scope(connection: &Connection, scope: &Scope) -> Result<Option<Vec<Value>>> {
    let mut values = vec![Value::Integer(0); 3];
    for (kind, value) in scope.ids().into_iter().enumerate() {
        let Some(value) = value else { continue };
        let Some((id, _)) = scope_id(connection, kind, value)? else { return Ok(None) };
        values[kind] = Value::Integer(id);
    }
    Ok(Some(values))
}
