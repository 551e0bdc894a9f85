//! The history of mem0: its import into the target, and the comparison with it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mnemon_engine::ImportOptions;
use mnemon_store::sqlite::read_mem0_history;
use mnemon_store::{HistoryEvent, Scope, Store};

use super::backup::HISTORY_FILE;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::state::{MigrationState, Route};

/// The number of rows that are reported; all are counted.
const MAX_DIFFERENCES: usize = 5;

/// What a comparison of the history found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryComparison {
    /// The rows of mem0's database.
    pub rows: usize,
    /// The memories that they belong to.
    pub memories: usize,
    /// Rows that the target lacks.
    pub missing: usize,
    /// Rows with another content in the target.
    pub differ: usize,
    /// Messages of sessions that the target lacks.
    pub messages: usize,
    /// The first differences.
    pub differences: Vec<String>,
}

impl HistoryComparison {
    /// Whether the target has all rows.
    pub fn is_green(&self) -> bool {
        self.missing + self.differ + self.messages == 0
    }
}

/// Imports mem0's history into the target; existing rows stay. Returns the number of new rows.
pub(super) fn import_history(route: &Route, context: &MigrationContext<'_>, dims: usize, file: &Path) -> Result<usize> {
    let engine = context.open_target(route, dims)?;
    let unreadable =
        |error: mnemon_engine::EngineError| MigrateError::History { path: file.to_owned(), reason: error.to_string() };
    // The file is not to blame for a store that fails.
    read_mem0_history(file).map_err(|error| unreadable(error.into()))?;
    Ok(engine.import(file, &ImportOptions::default(), &mut |_| ())?.stored.history)
}

/// The history database to compare with: that of the migration, or its copy in the backup if it no longer exists.
pub(super) fn history_to_compare(state: &MigrationState) -> Option<PathBuf> {
    let file = state.history.clone()?;
    let copy = state.backup.as_ref().map(|(folder, _)| folder.join(HISTORY_FILE));
    Some(if file.exists() { file } else { copy.filter(|copy| copy.exists()).unwrap_or(file) })
}

/// Compares every row of mem0's history with the target's history of the same memory.
pub(super) fn compare_history(file: &Path, store: &dyn Store) -> Result<HistoryComparison> {
    let (history, messages) = read_mem0_history(file)
        .map_err(|error| MigrateError::History { path: file.to_owned(), reason: error.to_string() })?;
    let mut compared = HistoryComparison { rows: history.len(), ..HistoryComparison::default() };
    let mut by_memory: HashMap<&str, Vec<&HistoryEvent>> = HashMap::new();
    for event in &history {
        by_memory.entry(&event.memory_id).or_default().push(event);
    }
    compared.memories = by_memory.len();
    for (memory, rows) in by_memory {
        let found: HashMap<String, HistoryEvent> =
            store.history(memory)?.into_iter().map(|event| (event.id.clone(), event)).collect();
        for row in rows {
            let difference = match found.get(&row.id) {
                None => "is missing",
                // mem0's rows have no owner; the import adds it.
                Some(found) if HistoryEvent { scope: Scope::default(), ..found.clone() } != *row => "differs",
                Some(_) => continue,
            };
            compared.missing += usize::from(difference == "is missing");
            compared.differ += usize::from(difference == "differs");
            if compared.differences.len() < MAX_DIFFERENCES {
                compared.differences.push(format!("history of {memory}: row {} {difference}", row.id));
            }
        }
    }
    let ids: Vec<String> = messages.into_iter().map(|message| message.id).collect();
    compared.messages = store.messages(&ids)?.iter().filter(|found| found.is_none()).count();
    Ok(compared)
}
