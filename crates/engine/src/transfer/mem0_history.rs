//! Imports mem0's `history.db`.

use std::path::Path;

use mnemon_store::sqlite::read_mem0_history;
use mnemon_store::{Change, ChangeSet, HistoryEvent, Store};

use super::format::ImportFormat;
use super::report::ImportReport;
use crate::error::Result;

/// Events or messages in one commit.
const BATCH: usize = 512;

pub(super) fn import(store: &dyn Store, path: &Path, progress: &mut dyn FnMut(usize)) -> Result<ImportReport> {
    let (history, messages) = read_mem0_history(path)?;
    let mut imported = ImportReport::new(ImportFormat::HistoryDb);
    let before = store.info()?;
    let mut done = 0;
    for events in history.chunks(BATCH) {
        let changes = events
            .iter()
            .map(|event| {
                // mem0's history has no owners; they are taken from the memories that are stored here.
                let memory = match event.memory_id.parse() {
                    Ok(id) => store.get(&[id])?.pop().flatten(),
                    Err(_) => None,
                };
                let scope = memory.map(|memory| memory.payload.scope()).unwrap_or_default();
                Ok(Change::History(Box::new(HistoryEvent { scope, ..event.clone() })))
            })
            .collect::<Result<_>>()?;
        store.apply(&ChangeSet { expected: Vec::new(), changes })?;
        done += events.len();
        progress(done);
    }
    for messages in messages.chunks(BATCH) {
        let changes = messages.iter().map(|message| Change::Message(Box::new(message.clone()))).collect();
        store.apply(&ChangeSet { expected: Vec::new(), changes })?;
    }
    let after = store.info()?;
    imported.stored.history = after.history.saturating_sub(before.history);
    imported.stored.messages = after.messages.saturating_sub(before.messages);
    imported.unchanged = history.len().saturating_sub(imported.stored.history);
    Ok(imported)
}
