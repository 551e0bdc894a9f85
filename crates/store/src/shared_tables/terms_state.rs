//! Which version of terms the memories of a store have.

use serde::{Deserialize, Serialize};

use crate::database::{Durability, Sql, Tables, Value, snapshot, transact};
use crate::{Result, StoreError};

/// The version of the terms that writers of this version store.
pub const TERMS_VERSION: u32 = 2;
/// The key in the table `meta`.
const KEY: &str = "terms";

/// Which version of terms the memories of a store have, and how far those of an older version were made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsState {
    /// Every memory has terms of this version or of a later one.
    pub version: u32,
    /// The cursor of a list of all memories, newest first. Memories before it have the terms of [`TERMS_VERSION`].
    pub cursor: Option<String>,
    /// The number of memories before the cursor.
    pub done: usize,
}

impl TermsState {
    /// All memories have the terms of [`TERMS_VERSION`].
    pub fn current() -> Self {
        Self { version: TERMS_VERSION, cursor: None, done: 0 }
    }

    /// Whether some memories have terms of an older version.
    pub fn is_old(&self) -> bool {
        self.version < TERMS_VERSION
    }

    /// The state as it is stored.
    pub(crate) fn to_row(&self) -> Result<[String; 2]> {
        let text = serde_json::to_string(self).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok([KEY.to_owned(), text])
    }
}

/// The state in the table `meta`. Stores of the first version have none.
pub(crate) fn terms_state(tables: &(impl Tables + ?Sized)) -> Result<TermsState> {
    let rows = snapshot(tables, |sql| sql.query("SELECT value FROM meta WHERE key = $1", &[Value::Text(KEY.into())]))?;
    let Some(row) = rows.first() else { return Ok(TermsState { version: 1, cursor: None, done: 0 }) };
    serde_json::from_str(row.text(0)?).map_err(|error| StoreError::Corrupt(format!("the state of the terms: {error}")))
}

/// Writes the state to the table `meta`.
pub(crate) fn set_terms_state(tables: &(impl Tables + ?Sized), state: &TermsState) -> Result<()> {
    transact(tables, Durability::Synced, |sql| write_terms_state(sql, state))
}

pub(crate) fn write_terms_state(sql: &mut dyn Sql, state: &TermsState) -> Result<()> {
    sql.execute(
        "INSERT INTO meta(key, value) VALUES($1, $2) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
        &state.to_row()?.map(Value::Text),
    )
    .map(drop)
}
