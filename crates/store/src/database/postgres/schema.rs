//! The tables of a database, brought up to date by whichever replica comes first.

use super::connect::{Connection, Server};
use super::{LOCKS, SCHEMA, WORDS, translate};
use crate::{Result, StoreError};

/// Applies the steps the database has not seen.
pub(super) fn bring_up_to_date(connection: &mut Connection, server: &Server, steps: &[&str]) -> Result<()> {
    let explain = |error: postgres::Error| server.explain(&error);
    let mut tx = connection.client.transaction().map_err(explain)?;
    // Waits for other replicas as long as a statement may take; the steps themselves may take longer.
    tx.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCKS}, {SCHEMA}); SET LOCAL statement_timeout = 0"))
        .map_err(explain)?;
    let there = "SELECT to_regclass('mnemon_schema') IS NOT NULL";
    let found = if tx.query_one(there, &[]).map_err(explain)?.get(0) {
        let version = tx.query_opt("SELECT version FROM mnemon_schema", &[]).map_err(explain)?;
        version.map_or(0, |row| row.get::<_, i64>(0))
    } else {
        tx.batch_execute("CREATE TABLE mnemon_schema(version BIGINT NOT NULL)").map_err(explain)?;
        tx.batch_execute("INSERT INTO mnemon_schema VALUES(0)").map_err(explain)?;
        0
    };
    let number = |version: i64| u32::try_from(version).unwrap_or(u32::MAX);
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        let (found, known) = (number(found), number(known));
        return Err(StoreError::NewerSchema { path: server.name.clone().into(), found, known });
    }
    for step in &steps[number(found) as usize..] {
        tx.batch_execute(&translate(step, '$', &WORDS)).map_err(explain)?;
    }
    if found < known {
        tx.execute("UPDATE mnemon_schema SET version = $1", &[&known]).map_err(explain)?;
    }
    tx.commit().map_err(explain)
}
