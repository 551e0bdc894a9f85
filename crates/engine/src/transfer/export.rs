//! Everything a store holds, as lines that another store can take in without loss.

use std::io::Write;
use std::ops::ControlFlow;

use mnemon_store::ExportRecord;
use serde_json::Value;

use super::{TransferCounts, line};
use crate::{Engine, EngineError, Result};

impl Engine {
    /// Writes the whole store as of one moment, in the order things were stored: the same store gives the same bytes. The
    /// last line counts the others, so that a cut file is noticed. `progress` is told the memories written so far.
    ///
    /// # Errors
    /// If the store or the writer fails; what was written so far is then no whole export.
    pub fn export(&self, out: &mut dyn Write, progress: &mut dyn FnMut(usize)) -> Result<TransferCounts> {
        let mut counts = TransferCounts::default();
        let mut put = |value: Value| {
            writeln!(out, "{value}").map_err(|source| EngineError::Io { what: "writing the export".into(), source })
        };
        let info = self.store.info()?;
        put(line::header(&info.embedder, info.dims))?;
        let mut fault = None;
        self.store.visit(&mut |piece| {
            let (value, count) = match &piece {
                ExportRecord::Memory(memory) => (line::memory(memory), &mut counts.memories),
                ExportRecord::Entity(entity) => (line::entity(entity), &mut counts.entities),
                ExportRecord::Link(link) => (line::link(link), &mut counts.links),
                ExportRecord::History(event) => (line::history(event), &mut counts.history),
                ExportRecord::Message(message) => (line::message(message), &mut counts.messages),
            };
            *count += 1;
            if let Err(error) = put(value) {
                fault = Some(error);
                return ControlFlow::Break(());
            }
            progress(counts.memories);
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(()), Err)?;
        put(line::end(&counts))?;
        out.flush().map_err(|source| EngineError::Io { what: "writing the export".into(), source })?;
        Ok(counts)
    }
}
