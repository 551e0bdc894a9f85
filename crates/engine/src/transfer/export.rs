//! Export: the whole store as lines of JSON, which another store can import without loss.

use std::io::Write;
use std::ops::ControlFlow;

use mnemon_store::ExportRecord;
use serde_json::Value;

use super::line;
use super::report::TransferCounts;
use crate::engine::Engine;
use crate::error::{EngineError, Result};

impl Engine {
    /// Writes a consistent export of the whole store, in the order of storing: the same store gives the same bytes. The
    /// last line counts the other lines, so that a truncated file is detected. `progress` receives the number of memories
    /// written so far.
    ///
    /// # Errors
    /// If the store or the writer fails; the export is then incomplete.
    pub fn export(&self, out: &mut dyn Write, progress: &mut dyn FnMut(usize)) -> Result<TransferCounts> {
        let write_error = |source| EngineError::Io { what: "writing the export".into(), source };
        let mut counts = TransferCounts::default();
        let mut put = |value: Value| writeln!(out, "{value}").map_err(write_error);
        let info = self.store.info()?;
        put(line::header(&info.embedder, info.dims))?;
        let mut failure = None;
        self.store.visit(&mut |record| {
            let (value, count) = match &record {
                ExportRecord::Memory(memory) => (line::memory(memory), &mut counts.memories),
                ExportRecord::Entity(entity) => (line::entity(entity), &mut counts.entities),
                ExportRecord::Link(link) => (line::link(link), &mut counts.links),
                ExportRecord::History(event) => (line::history(event), &mut counts.history),
                ExportRecord::Message(message) => (line::message(message), &mut counts.messages),
            };
            *count += 1;
            if let Err(error) = put(value) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            progress(counts.memories);
            ControlFlow::Continue(())
        })?;
        failure.map_or(Ok(()), Err)?;
        put(line::end(&counts))?;
        out.flush().map_err(write_error)?;
        Ok(counts)
    }
}
