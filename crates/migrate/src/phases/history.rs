//! The history of mem0: its import into the target, and the comparison with it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use mnemon_engine::ImportOptions;
use mnemon_store::sqlite::read_mem0_history;
use mnemon_store::{HistoryEvent, Scope, SessionMessage, Store};

use super::backup::check_history_source;
use crate::carried::CarriedPoints;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Refusal, Result};
use crate::state::Route;

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
    /// Rows that were imported from the database, and that it no longer has.
    pub lost: usize,
    /// Why the database can't be read, with its name; nothing was compared then.
    pub unreadable: Option<String>,
    /// The first differences.
    pub differences: Vec<String>,
}

impl HistoryComparison {
    /// Whether the database was read, still has the imported rows, and the target has all of its rows.
    pub fn is_green(&self) -> bool {
        self.missing + self.differ + self.messages + self.lost == 0 && self.unreadable.is_none()
    }
}

/// Imports mem0's history into the target; existing rows stay. Returns the number of new rows.
pub(super) fn import_history(
    route: &Route,
    context: &MigrationContext<'_>,
    dims: usize,
    file: &Path,
    carried: &CarriedPoints,
) -> Result<usize> {
    // The file is not to blame for a store that fails.
    let (history, _) = read(file)?;
    check_rows(file, &history, carried, context.allow_removals)?;
    let engine = context.open_target(route, dims)?;
    let imported = engine.import(file, &ImportOptions::default(), &mut |_| ())?.stored.history;
    carried.record_history(&history.iter().map(|event| event.id.as_str()).collect::<Vec<_>>())?;
    Ok(imported)
}

/// Checks that mem0's history can be read and still has the rows that were imported from it.
///
/// # Errors
/// [`MigrateError::History`]; [`MigrateError::Refused`] if it lacks rows, unless the context allows removals.
pub(super) fn check_history(file: &Path, context: &MigrationContext<'_>, carried: &CarriedPoints) -> Result<()> {
    check_rows(file, &read(file)?.0, carried, context.allow_removals)
}

fn check_rows(file: &Path, history: &[HistoryEvent], carried: &CarriedPoints, allow_removals: bool) -> Result<()> {
    match lost(history, carried)?.len() {
        lost if lost > 0 && !allow_removals => Err(Refusal::HistoryLost { file: file.to_owned(), lost }.into()),
        _ => Ok(()),
    }
}

/// The ids of the rows that were imported, and that the database no longer has.
fn lost(history: &[HistoryEvent], carried: &CarriedPoints) -> Result<Vec<String>> {
    let existing: HashSet<&str> = history.iter().map(|event| event.id.as_str()).collect();
    let mut imported = carried.history()?;
    imported.retain(|id| !existing.contains(id.as_str()));
    Ok(imported)
}

fn read(file: &Path) -> Result<(Vec<HistoryEvent>, Vec<SessionMessage>)> {
    check_history_source(file)?;
    read_mem0_history(file).map_err(|error| MigrateError::History { path: file.to_owned(), reason: error.to_string() })
}

/// Compares every row of mem0's history with the target's history of the same memory. A database that can't be read is
/// part of the result, and not green.
pub(super) fn compare_history(file: &Path, store: &dyn Store, carried: &CarriedPoints) -> Result<HistoryComparison> {
    let (history, messages) = match read(file) {
        Ok(found) => found,
        Err(error) => {
            let unreadable = Some(error.to_string());
            return Ok(HistoryComparison { unreadable, ..HistoryComparison::default() });
        }
    };
    let mut compared = HistoryComparison { rows: history.len(), ..HistoryComparison::default() };
    let lost = lost(&history, carried)?;
    compared.lost = lost.len();
    let describe = |id| format!("history: row {id} was imported, and {} no longer has it", file.display());
    compared.differences.extend(lost.iter().take(MAX_DIFFERENCES).map(describe));
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
