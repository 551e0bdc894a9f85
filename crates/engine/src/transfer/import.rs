//! Import: detects the format of a file and calls its reader.

use std::path::Path;

use super::format::{ImportFormat, ImportOptions};
use super::report::ImportReport;
use super::restore::Restore;
use super::{chat, mem0_history, points};
use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// Imports a file of any [`ImportFormat`]. Importing the same file again stores nothing twice, except for chat, where a
    /// repeated message is a new message. `progress` receives the number of records read so far.
    ///
    /// # Errors
    /// [`EngineError::Invalid`](crate::EngineError::Invalid) for a file of another format, and for a truncated or damaged
    /// export, of which nothing is imported. Single invalid records are listed in the report instead.
    pub fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<ImportReport> {
        match ImportFormat::detect(path)? {
            ImportFormat::HistoryDb => mem0_history::import(self.store(), path, progress),
            ImportFormat::Export => Restore::new(self, options).run(path, progress),
            ImportFormat::Points => points::import(self, path, progress),
            ImportFormat::Chat => chat::import_chat(self, path, options, progress),
            ImportFormat::Text => chat::import_text(self, path, options, progress),
        }
    }
}
