//! Import: what a file is, and which reader takes it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use mnemon_store::{Change, ChangeSet, HistoryEvent, StoreError};
use serde_json::Value;

use super::{BATCH, ImportFormat, ImportOptions, ImportReport, io};
use crate::{Engine, EngineError, Result};

impl Engine {
    /// Imports a file of any [`ImportFormat`]. Importing the same file again stores nothing twice, except for
    /// chat, where the same words may be said again. `progress` is told the records read so far.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a file that is no import at all, or an export that is cut or damaged (nothing is
    /// then imported). Single lines that can't be taken are listed in the answer instead.
    pub fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<ImportReport> {
        match sniff(path)? {
            ImportFormat::HistoryDb => self.import_history(path, progress),
            ImportFormat::Export => self.restore(path, options, progress),
            ImportFormat::Points => self.import_points(path, progress),
            ImportFormat::Chat => self.import_chat(path, options, progress),
            ImportFormat::Text => self.import_text(path, options, progress),
        }
    }

    /// Commits inserts whose ids were free a moment ago. Another import of the same file may have been faster: what it
    /// has stored is left out. Returns how many those were.
    pub(super) fn insert_new(&self, changes: Vec<Change>) -> Result<usize> {
        let mut changes = ChangeSet { expected: Vec::new(), changes };
        let mut there = 0;
        loop {
            match self.store.apply(&changes) {
                Err(StoreError::Exists(taken)) => {
                    changes.changes.retain(|change| !matches!(change, Change::Insert(new) if new.memory.id == taken));
                    there += 1;
                }
                done => return Ok(done.map(|()| there)?),
            }
        }
    }

    fn import_history(&self, path: &Path, progress: &mut dyn FnMut(usize)) -> Result<ImportReport> {
        let (history, messages) = mnemon_store::sqlite::read_mem0_history(path)?;
        let mut imported = ImportReport::new(ImportFormat::HistoryDb);
        let before = self.store.info()?;
        let mut done = 0;
        for events in history.chunks(BATCH) {
            let changes = events
                .iter()
                .map(|event| {
                    // mem0 does not say whose it was; a memory that is here does.
                    let memory = match event.memory_id.parse() {
                        Ok(id) => self.store.get(&[id])?.pop().flatten(),
                        Err(_) => None,
                    };
                    let scope = memory.map(|memory| memory.payload.scope()).unwrap_or_default();
                    Ok(Change::History(Box::new(HistoryEvent { scope, ..event.clone() })))
                })
                .collect::<Result<_>>()?;
            self.store.apply(&ChangeSet { expected: Vec::new(), changes })?;
            done += events.len();
            progress(done);
        }
        for messages in messages.chunks(BATCH) {
            let changes = messages.iter().map(|message| Change::Message(Box::new(message.clone()))).collect();
            self.store.apply(&ChangeSet { expected: Vec::new(), changes })?;
        }
        let after = self.store.info()?;
        imported.stored.history = after.history.saturating_sub(before.history);
        imported.stored.messages = after.messages.saturating_sub(before.messages);
        imported.unchanged = history.len().saturating_sub(imported.stored.history);
        Ok(imported)
    }
}

/// Tells the format by the file's first bytes and first line.
fn sniff(path: &Path) -> Result<ImportFormat> {
    let mut file = BufReader::new(File::open(path).map_err(io(path))?);
    let start = file.fill_buf().map_err(io(path))?;
    if start.starts_with(b"SQLite format 3\0") {
        // The place of SQLite's application id.
        if start.get(68..72) == Some(b"MNEM") {
            return Err(EngineError::invalid(format!(
                "{} is a store of Mnemon itself: export it, and import the export",
                path.display()
            )));
        }
        return Ok(ImportFormat::HistoryDb);
    }
    let mut line = String::new();
    while line.trim().is_empty() {
        line.clear();
        // A file without line breaks need not be read whole to know what it is.
        let read = file.by_ref().take(64 << 20).read_line(&mut line).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                EngineError::invalid(format!("{} is neither text in UTF-8 nor a mem0 history.db", path.display()))
            }
            _ => io(path)(error),
        })?;
        if read == 0 {
            return Err(EngineError::invalid(format!("{} is empty: there is nothing to import", path.display())));
        }
    }
    let line = line.trim_start_matches('\u{feff}').trim_start();
    // A list of messages, not a log that begins with `[10:32]`.
    if line.strip_prefix('[').is_some_and(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with('{')) {
        return Ok(ImportFormat::Chat);
    }
    Ok(match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(map)) if map.contains_key("mnemon_export") => ImportFormat::Export,
        Ok(Value::Object(map)) if map.contains_key("payload") => ImportFormat::Points,
        Ok(Value::Object(_)) => ImportFormat::Chat,
        // An object over several lines.
        Err(_)
            if line
                .strip_prefix('{')
                .is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('"')) =>
        {
            ImportFormat::Chat
        }
        _ => ImportFormat::Text,
    })
}

/// What some programs put before text in UTF-8.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// Calls `each` with the number and text of every line that is not blank; a line that is no UTF-8 comes as `Err`.
pub(super) fn for_each_line(
    path: &Path,
    mut each: impl FnMut(usize, Result<&str, &'static str>) -> Result<()>,
) -> Result<()> {
    let mut file = BufReader::new(File::open(path).map_err(io(path))?);
    let mut bytes = Vec::new();
    let mut number = 0;
    loop {
        bytes.clear();
        if file.read_until(b'\n', &mut bytes).map_err(io(path))? == 0 {
            return Ok(());
        }
        number += 1;
        let bytes = if number == 1 { bytes.strip_prefix(BOM).unwrap_or(&bytes) } else { &bytes };
        match std::str::from_utf8(bytes) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => each(number, Ok(line.trim_end_matches(['\r', '\n'])))?,
            Err(_) => each(number, Err("no text in UTF-8"))?,
        }
    }
}
