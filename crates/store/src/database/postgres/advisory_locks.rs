//! Statements for advisory locks.
//!
//! A lock key has one number of 64 bits. All other locks have two numbers, a class and a number in it, which never
//! conflict with keys of one number.

use crate::database::Lock;

/// The class of the locks on everything and on the schema.
const DATABASE_CLASS: i32 = 0x4D4E_454C;
/// The class of locks on rows.
const ROW_CLASS: i32 = DATABASE_CLASS + 1;
const EVERYTHING: i32 = 0;
const SCHEMA: i32 = 1;

/// Releases all locks of the session.
pub(super) const UNLOCK_ALL: &str = "SELECT pg_advisory_unlock_all()";

/// Waits for a lock of the session.
pub(super) fn lock_statement(lock: &Lock) -> String {
    match lock {
        Lock::Everything => format!("SELECT pg_advisory_lock({DATABASE_CLASS}, {EVERYTHING})"),
        Lock::Keys(keys) => {
            let mut keys = keys.clone();
            keys.sort_unstable();
            keys.dedup();
            let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
            format!(
                "SELECT pg_advisory_lock_shared({DATABASE_CLASS}, {EVERYTHING}) UNION ALL
                 SELECT pg_advisory_lock(key) FROM unnest('{{{}}}'::bigint[]) AS keys(key)",
                keys.join(",")
            )
        }
    }
}

/// Waits for the lock on the schema, which is released at the end of the transaction.
pub(super) fn lock_schema_statement() -> String {
    format!("SELECT pg_advisory_xact_lock({DATABASE_CLASS}, {SCHEMA})")
}

/// Waits for locks on rows, which are released at the end of the transaction. `$1` is the list of their numbers as the
/// text of an array; they are locked in the order of the list.
pub(super) fn lock_rows_query() -> String {
    format!(
        "SELECT count(pg_advisory_xact_lock({ROW_CLASS}, number)) FROM unnest(CAST($1 AS TEXT)::int[]) AS numbers(number)"
    )
}
