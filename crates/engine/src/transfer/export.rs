//! Everything a store holds, as lines that another store can take in without loss.

use std::io::Write;

use serde_json::Value;

use super::{BATCH, Transferred, line};
use crate::{Engine, EngineError, Result};

impl Engine {
    /// Writes the whole store, in the order things were stored: the same store gives the same bytes. The last line
    /// counts the others, so that a cut file is noticed. `progress` is told the memories written so far.
    ///
    /// # Errors
    /// If the store or the writer fails; what was written so far is then no whole export.
    pub fn export(&self, out: &mut dyn Write, progress: &mut dyn FnMut(usize)) -> Result<Transferred> {
        let mut counts = Transferred::default();
        let mut put = |value: Value| {
            writeln!(out, "{value}").map_err(|source| EngineError::Io { what: "writing the export".into(), source })
        };
        let info = self.store.info()?;
        put(line::header(&info.embedder, info.dims))?;
        let mut after = None;
        loop {
            let stretch = self.store.scan_memories(after, BATCH)?;
            counts.memories += stretch.items.len();
            stretch.items.iter().map(line::memory).try_for_each(&mut put)?;
            progress(counts.memories);
            after = stretch.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let stretch = self.store.scan_entities(after, BATCH)?;
            counts.entities += stretch.items.len();
            stretch.items.iter().map(line::entity).try_for_each(&mut put)?;
            after = stretch.next;
            if after.is_none() {
                break;
            }
        }
        let links = self.store.all_links()?;
        counts.links = links.len();
        links.iter().map(line::link).try_for_each(&mut put)?;
        loop {
            let stretch = self.store.scan_history(after, BATCH)?;
            counts.history += stretch.items.len();
            stretch.items.iter().map(line::history).try_for_each(&mut put)?;
            after = stretch.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let stretch = self.store.scan_messages(after, BATCH)?;
            counts.messages += stretch.items.len();
            stretch.items.iter().map(line::message).try_for_each(&mut put)?;
            after = stretch.next;
            if after.is_none() {
                break;
            }
        }
        put(line::end(&counts))?;
        out.flush().map_err(|source| EngineError::Io { what: "writing the export".into(), source })?;
        Ok(counts)
    }
}
