//! Imports an export of Mnemon without loss: ids, vectors, positions in sessions, links and history.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use mnemon_store::{
    Change, ChangeSet, Entity, Memory, MemoryId, Record, Scope, SessionWindow, StoreInfo, StoredMemory, Terms,
};

use super::format::{ImportFormat, ImportOptions};
use super::insert::insert_new;
use super::line::{self, Line};
use super::reader::for_each_line;
use super::report::{ImportReport, RejectedRecord, TransferCounts};
use crate::analyse::embed_names;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::read::stored_scope;
use crate::session::recount;
use crate::terms::{CONTEXT_MEMORIES, count_terms};

/// Records in one commit.
const BATCH: usize = 512;

/// The import of one export.
pub(super) struct Restore<'e> {
    engine: &'e Engine,
    options: &'e ImportOptions,
    imported: ImportReport,
    /// The ends of the sessions that were imported so far.
    tails: HashMap<(Scope, String), Tail>,
    /// Memories whose terms are recounted at the end, because the memories before them were imported later.
    displaced: Vec<MemoryId>,
    /// Memories that differ from the stored ones with the same ids.
    refused: HashSet<MemoryId>,
    /// Memories to store, with their line numbers.
    memories: Vec<(usize, StoredMemory)>,
    /// Other records to store.
    others: Vec<Change>,
}

/// The end of a session.
struct Tail {
    /// Whether the store already had memories of this session.
    shared: bool,
    /// Positions and terms of the last memories, newest first.
    last: Vec<(u32, Vec<u32>)>,
}

impl<'e> Restore<'e> {
    pub(super) fn new(engine: &'e Engine, options: &'e ImportOptions) -> Self {
        Self {
            engine,
            options,
            imported: ImportReport::new(ImportFormat::Export),
            tails: HashMap::new(),
            displaced: Vec::new(),
            refused: HashSet::new(),
            memories: Vec::with_capacity(BATCH),
            others: Vec::with_capacity(BATCH),
        }
    }

    pub(super) fn run(mut self, path: &Path, progress: &mut dyn FnMut(usize)) -> Result<ImportReport> {
        ExportCheck::new(self.options, &self.engine.store.info()?).run(path)?;
        let before = self.engine.store.info()?;
        let mut read = 0;
        for_each_line(path, |number, text| {
            let text = text.map_err(EngineError::invalid)?;
            let line = line::parse(text).map_err(|fault| EngineError::invalid(format!("line {number}: {fault}")))?;
            self.push(number, line)?;
            read += 1;
            progress(read);
            Ok(())
        })?;
        self.store_memories()?;
        self.store_others()?;
        for id in std::mem::take(&mut self.displaced) {
            self.recount_terms(id)?;
        }
        // Records that were stored already are not counted.
        let after = self.engine.store.info()?;
        let stored = &mut self.imported.stored;
        stored.entities = after.entities.saturating_sub(before.entities);
        stored.links = after.links.saturating_sub(before.links);
        stored.history = after.history.saturating_sub(before.history);
        stored.messages = after.messages.saturating_sub(before.messages);
        Ok(self.imported)
    }

    fn push(&mut self, number: usize, line: Line) -> Result<()> {
        // Memories come first: links, entities and history may refer to them.
        if !matches!(line, Line::Memory(_)) && !self.memories.is_empty() {
            self.store_memories()?;
        }
        match line {
            Line::Header { .. } | Line::End(_) => {}
            Line::Memory(stored) => self.memories.push((number, *stored)),
            // Records of refused memories are skipped.
            Line::Entity(mut entity) => {
                let named = entity.memories.len();
                entity.memories.retain(|id| !self.refused.contains(id));
                if named == 0 || !entity.memories.is_empty() {
                    self.others.push(Change::InsertEntity(entity));
                }
            }
            Line::Link(link) => {
                if !self.refused.contains(&link.source) && !self.refused.contains(&link.target) {
                    self.others.push(Change::Link(link));
                }
            }
            Line::History(event) => {
                if !event.memory_id.parse().is_ok_and(|id| self.refused.contains(&id)) {
                    self.others.push(Change::History(event));
                }
            }
            Line::Message(message) => self.others.push(Change::Message(message)),
        }
        if self.memories.len() == BATCH {
            self.store_memories()?;
        }
        if self.others.len() == BATCH {
            self.store_others()?;
        }
        Ok(())
    }

    fn store_memories(&mut self) -> Result<()> {
        let mut memories = std::mem::take(&mut self.memories);
        let mut changes = Vec::with_capacity(memories.len());
        if self.options.reembed {
            let vectors =
                self.engine.embed_payloads(memories.iter_mut().map(|(_, stored)| &mut stored.memory.payload))?;
            memories.iter_mut().zip(vectors).for_each(|((_, stored), vector)| stored.vector = vector);
        }
        for (line, stored) in memories {
            if self.is_stored(line, &stored)? {
                continue;
            }
            let terms = self.terms(&stored)?;
            self.imported.stored.memories += 1;
            changes.push(Change::Insert(Box::new(Record {
                holds_time_word: mnemon_text::dates::holds_time_word(stored.memory.payload.text()),
                memory: stored.memory,
                vector: stored.vector,
                bm25: stored.bm25,
                terms,
                mentions: Vec::new(),
            })));
        }
        let existing = insert_new(self.engine.store(), changes)?;
        self.imported.stored.memories -= existing;
        self.imported.unchanged += existing;
        Ok(())
    }

    /// Whether the store has a memory with this id. If that differs, the memory of the export is refused.
    fn is_stored(&mut self, line: usize, stored: &StoredMemory) -> Result<bool> {
        let id = stored.memory.id;
        let Some(existing) = self.engine.store.get_stored(&[id])?.pop().flatten() else { return Ok(false) };
        let is_same = if self.options.reembed {
            // The vector and its record come from this embedder.
            same_memory(&existing.memory, &stored.memory)
        } else {
            existing.memory == stored.memory && existing.vector == stored.vector
        };
        if is_same {
            self.imported.unchanged += 1;
        } else {
            let reason = format!("the store has memory {id} with different content; the stored memory was not changed");
            self.imported.refused.push(RejectedRecord { line, reason: reason.into() });
            self.refused.insert(id);
        }
        Ok(true)
    }

    /// The terms of a memory in its session, as far as the memories before it are known.
    fn terms(&mut self, stored: &StoredMemory) -> Result<Terms> {
        let memory = &stored.memory;
        let own = mnemon_text::index_terms(memory.payload.text());
        let speaker = memory.payload.speaker();
        let (Some(session), Some(position)) = (&memory.provenance.session, memory.provenance.position) else {
            return Ok(count_terms(&own, &[], speaker));
        };
        let scope = memory.payload.scope();
        let tail = match self.tails.entry((scope.clone(), session.clone())) {
            Entry::Occupied(tail) => tail.into_mut(),
            Entry::Vacant(entry) => {
                let stored = self.engine.store.session(&scope, session, SessionWindow::Last(1))?;
                entry.insert(Tail { shared: !stored.is_empty(), last: Vec::new() })
            }
        };
        // The memories come out of order, or others are stored between them.
        if tail.shared || tail.last.first().is_some_and(|(last, _)| *last >= position) {
            self.displaced.push(memory.id);
        }
        let before: Vec<&[u32]> = tail.last.iter().map(|(_, terms)| terms.as_slice()).collect();
        let terms = count_terms(&own, &before, speaker);
        tail.last.insert(0, (position, own.words));
        tail.last.truncate(CONTEXT_MEMORIES);
        Ok(terms)
    }

    fn store_others(&mut self) -> Result<()> {
        let mut changes = std::mem::take(&mut self.others);
        if self.options.reembed {
            self.embed_entities(&mut changes)?;
        }
        self.engine.store.apply(&ChangeSet { expected: Vec::new(), changes })?;
        Ok(())
    }

    fn embed_entities(&self, changes: &mut [Change]) -> Result<()> {
        let mut entities: Vec<&mut Entity> = Vec::new();
        for change in changes {
            if let Change::InsertEntity(entity) = change {
                entities.push(entity);
            }
        }
        let vectors = embed_names(entities.iter().map(|entity| entity.text()), |names| self.engine.embed(names))?;
        for entity in entities {
            entity.vector.clone_from(&vectors[entity.text()]);
        }
        Ok(())
    }

    /// Recounts the terms of a stored memory and of those after it.
    fn recount_terms(&self, id: MemoryId) -> Result<()> {
        let store = self.engine.store();
        let scope = stored_scope(store, id)?;
        self.engine.commit(&[&scope], || {
            let mut changes = Vec::new();
            if let Some(memory) = store.get(&[id])?.pop().flatten() {
                let (terms, context_changes) = recount(store, &memory, Some(memory.payload.text()), &HashMap::new())?;
                changes.push(Change::SetTerms(id, terms));
                changes.extend(context_changes);
            }
            Ok((ChangeSet { expected: Vec::new(), changes }, ()))
        })
    }
}

/// Checks a whole export before anything is stored, so that nothing of a truncated or damaged file is imported.
struct ExportCheck<'e> {
    options: &'e ImportOptions,
    info: &'e StoreInfo,
    counts: TransferCounts,
    /// The counts of the last line.
    end: Option<TransferCounts>,
    seen: HashSet<MemoryId>,
}

impl<'e> ExportCheck<'e> {
    fn new(options: &'e ImportOptions, info: &'e StoreInfo) -> Self {
        Self { options, info, counts: TransferCounts::default(), end: None, seen: HashSet::new() }
    }

    fn run(mut self, path: &Path) -> Result<()> {
        for_each_line(path, |number, text| {
            let line = text.map_err(str::to_owned).and_then(line::parse);
            if let Ok(Line::Header { embedder, dims }) = &line
                && self.end.is_none()
            {
                return self.check_header(embedder, *dims);
            }
            line.and_then(|line| self.check_line(line)).map_err(|fault| {
                EngineError::invalid(format!(
                    "line {number}: {fault}. Nothing was imported: export again, or correct the line"
                ))
            })
        })?;
        match self.end {
            Some(end) if end == self.counts => Ok(()),
            Some(_) => Err(EngineError::invalid(
                "the numbers of records in the export differ from its last line: lines were removed or added. Nothing was imported",
            )),
            None => Err(EngineError::invalid(
                "the export is truncated: its last line is missing. Nothing was imported; export again",
            )),
        }
    }

    fn check_header(&self, embedder: &str, dims: usize) -> Result<()> {
        let StoreInfo { embedder: stored, dims: stored_dims, .. } = self.info;
        if self.options.reembed || (embedder == stored && dims == *stored_dims) {
            return Ok(());
        }
        Err(EngineError::ExportOfOtherEmbedder {
            export: embedder.to_owned(),
            export_dims: dims,
            store: stored.clone(),
            store_dims: *stored_dims,
        })
    }

    fn check_line(&mut self, line: Line) -> Result<(), String> {
        if self.end.is_some() {
            return Err("it follows the last line of the export".into());
        }
        match line {
            Line::Header { .. } => {}
            Line::Memory(stored) => {
                self.counts.memories += 1;
                if !self.seen.insert(stored.memory.id) {
                    return Err(format!("memory {} appears twice", stored.memory.id));
                }
                self.check_vector(&stored.vector)?;
                if !stored.bm25.iter().all(|(_, value)| value.is_finite()) {
                    return Err("`bm25` has a number that is too large for 32 bits".into());
                }
            }
            Line::Entity(entity) => {
                self.counts.entities += 1;
                self.check_vector(&entity.vector)?;
            }
            Line::Link(_) => self.counts.links += 1,
            Line::History(_) => self.counts.history += 1,
            Line::Message(_) => self.counts.messages += 1,
            Line::End(counts) => self.end = Some(counts),
        }
        Ok(())
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), String> {
        let dims = self.info.dims;
        let finite = vector.iter().filter(|value| value.is_finite()).count();
        if self.options.reembed || (vector.len() == dims && finite == dims) {
            Ok(())
        } else {
            Err(format!("the vector has {finite} finite numbers, the store has {dims} dims"))
        }
    }
}

/// Whether two memories are the same, however they were embedded.
fn same_memory(one: &Memory, other: &Memory) -> bool {
    let plain = |memory: &Memory| memory.payload.clone().without_embedded();
    (one.id, &one.provenance) == (other.id, &other.provenance) && plain(one) == plain(other)
}
