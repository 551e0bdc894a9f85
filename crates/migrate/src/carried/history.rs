//! The rows of mem0's history that were imported.

use mnemon_store::Durability;
use mnemon_store::database::{Value, snapshot, transact};

use super::CarriedPoints;
use crate::error::Result;

impl CarriedPoints {
    /// Records the ids of all rows of mem0's history, which have been imported.
    ///
    /// # Errors
    /// [`StoreError`](mnemon_store::StoreError) if the file can't be read or written.
    pub fn record_history(&self, ids: &[&str]) -> Result<()> {
        Ok(transact(&self.file, Durability::Synced, |sql| {
            sql.execute("DELETE FROM history_rows", &[])?;
            for id in ids {
                let insert = "INSERT INTO history_rows(id) VALUES($1) ON CONFLICT(id) DO NOTHING";
                sql.execute(insert, &[Value::Text((*id).to_owned())])?;
            }
            Ok(())
        })?)
    }

    /// The ids of the imported rows of mem0's history.
    ///
    /// # Errors
    /// [`StoreError`](mnemon_store::StoreError) if the file can't be read or written.
    pub fn history(&self) -> Result<Vec<String>> {
        Ok(snapshot(&self.file, |sql| {
            let rows = sql.query("SELECT id FROM history_rows ORDER BY id", &[])?;
            rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
        })?)
    }
}
