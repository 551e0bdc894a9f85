//! The schema of a database. The first replica that starts with a newer version applies its steps.

use super::advisory_locks::lock_schema_statement;
use super::connect::{Connection, Server};
use super::statements::to_postgres;
use crate::{Result, StoreError};

/// Applies the steps that the database does not have yet.
pub(super) fn apply_steps(connection: &mut Connection, server: &Server, steps: &[&str]) -> Result<()> {
    let store_error = |error: postgres::Error| server.store_error(&error);
    let mut tx = connection.client.transaction().map_err(store_error)?;
    // The wait for other replicas is limited by the statement timeout; the steps themselves may take longer.
    tx.batch_execute(&format!("{}; SET LOCAL statement_timeout = 0", lock_schema_statement())).map_err(store_error)?;
    let table_exists = "SELECT to_regclass('mnemon_schema') IS NOT NULL";
    let found = if tx.query_one(table_exists, &[]).map_err(store_error)?.get(0) {
        let version = tx.query_opt("SELECT version FROM mnemon_schema", &[]).map_err(store_error)?;
        version.map_or(0, |row| row.get::<_, i64>(0))
    } else {
        tx.batch_execute("CREATE TABLE mnemon_schema(version BIGINT NOT NULL)").map_err(store_error)?;
        tx.batch_execute("INSERT INTO mnemon_schema VALUES(0)").map_err(store_error)?;
        0
    };
    let number = |version: i64| u32::try_from(version).unwrap_or(u32::MAX);
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        let (found, known) = (number(found), number(known));
        return Err(StoreError::NewerSchema { path: server.name.clone().into(), found, known });
    }
    for step in &steps[number(found) as usize..] {
        tx.batch_execute(&to_postgres(step)).map_err(store_error)?;
    }
    if found < known {
        tx.execute("UPDATE mnemon_schema SET version = $1", &[&known]).map_err(store_error)?;
    }
    tx.commit().map_err(store_error)
}
