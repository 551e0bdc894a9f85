//! Our own export, taken in without loss: ids, vectors, places in sessions, links, history.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use mnemon_store::{Change, ChangeSet, Entity, MemoryId, Record, Scope, SessionWindow, StoredMemory};

use super::import::for_each_line;
use super::line::{self, Line};
use super::{BATCH, ImportFormat, ImportOptions, ImportReport, RejectedRecord, TransferCounts};
use crate::analyse::{CONTEXT_REACH, count_terms, embedding_text};
use crate::session::speaker;
use crate::{Engine, EngineError, Result};

/// Each session while an export is read in order.
type Tails = HashMap<(Scope, String), Tail>;

/// The end of a session.
struct Tail {
    /// The store holds memories of it that are not this export's, or were restored before.
    shared: bool,
    /// Place and terms of the last memories, the newest first.
    last: Vec<(u32, Vec<u32>)>,
}

impl Engine {
    pub(super) fn restore(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<ImportReport> {
        self.check_export(path, options)?;
        let mut imported = ImportReport::new(ImportFormat::Export);
        let held = self.store.info()?;
        let mut tails = Tails::new();
        let mut displaced = Vec::new();
        let mut refused = HashSet::new();
        let mut memories: Vec<(usize, StoredMemory)> = Vec::with_capacity(BATCH);
        let mut rest: Vec<Change> = Vec::with_capacity(BATCH);
        let mut read = 0;
        for_each_line(path, |number, text| {
            let text = text.map_err(EngineError::invalid)?;
            let line = line::parse(text).map_err(|fault| EngineError::invalid(format!("line {number}: {fault}")))?;
            if !matches!(line, Line::Memory(_)) && !memories.is_empty() {
                self.restore_memories(&mut memories, options, &mut tails, &mut displaced, &mut refused, &mut imported)?;
            }
            match line {
                Line::Header { .. } | Line::End(_) => {}
                Line::Memory(stored) => memories.push((number, *stored)),
                // What belongs to a memory that was refused is left where it is.
                Line::Entity(mut entity) => {
                    let named = entity.memories.len();
                    entity.memories.retain(|id| !refused.contains(id));
                    if named == 0 || !entity.memories.is_empty() {
                        rest.push(Change::InsertEntity(entity));
                    }
                }
                Line::Link(link) => {
                    if !refused.contains(&link.source) && !refused.contains(&link.target) {
                        rest.push(Change::Link(link));
                    }
                }
                Line::History(event) => {
                    if !event.memory_id.parse().is_ok_and(|id| refused.contains(&id)) {
                        rest.push(Change::History(event));
                    }
                }
                Line::Message(message) => {
                    rest.push(Change::Message(message));
                }
            }
            if memories.len() == BATCH {
                self.restore_memories(&mut memories, options, &mut tails, &mut displaced, &mut refused, &mut imported)?;
            }
            if rest.len() == BATCH {
                self.embed_entities(&mut rest, options)?;
                self.store.apply(&ChangeSet { expected: Vec::new(), changes: std::mem::take(&mut rest) })?;
            }
            read += 1;
            progress(read);
            Ok(())
        })?;
        self.restore_memories(&mut memories, options, &mut tails, &mut displaced, &mut refused, &mut imported)?;
        self.embed_entities(&mut rest, options)?;
        self.store.apply(&ChangeSet { expected: Vec::new(), changes: rest })?;
        for id in displaced {
            self.recount_in_place(id)?;
        }
        // What was there already was left as it is.
        let holds = self.store.info()?;
        imported.stored.entities = holds.entities.saturating_sub(held.entities);
        imported.stored.links = holds.links.saturating_sub(held.links);
        imported.stored.history = holds.history.saturating_sub(held.history);
        imported.stored.messages = holds.messages.saturating_sub(held.messages);
        Ok(imported)
    }

    /// Reads the whole file once before anything is written: a cut or damaged export is refused whole.
    fn check_export(&self, path: &Path, options: &ImportOptions) -> Result<()> {
        let mut counts = TransferCounts::default();
        let mut end = None;
        let info = self.store.info()?;
        let mut seen = HashSet::new();
        let check_vector = |vector: &[f32]| {
            let finite = vector.iter().filter(|value| value.is_finite()).count();
            let fits = options.reembed || (vector.len() == info.dims && finite == info.dims);
            if fits { Ok(()) } else { Err(format!("a vector of {finite} finite dims, the store has {}", info.dims)) }
        };
        for_each_line(path, |number, text| {
            let damaged = |fault: &str| {
                EngineError::invalid(format!(
                    "line {number}: {fault}. Nothing was imported; export again or mend the line"
                ))
            };
            if end.is_some() {
                return Err(damaged("it comes after the end of the export"));
            }
            match line::parse(text.map_err(damaged)?).map_err(|fault| damaged(&fault))? {
                Line::Header { embedder, dims } => {
                    if !options.reembed && (embedder != info.embedder || dims != info.dims) {
                        return Err(EngineError::invalid(format!(
                            "the export holds vectors of embedder `{embedder}` ({dims} dims), the store is for `{}` ({} \
                             dims): import with --reembed to compute them anew",
                            info.embedder, info.dims
                        )));
                    }
                }
                Line::Memory(stored) => {
                    counts.memories += 1;
                    if !seen.insert(stored.memory.id) {
                        return Err(damaged(&format!("memory {} was there before", stored.memory.id)));
                    }
                    check_vector(&stored.vector).map_err(|fault| damaged(&fault))?;
                    if !stored.bm25.iter().all(|(_, value)| value.is_finite()) {
                        return Err(damaged("a `bm25` value too large for 32 bits"));
                    }
                }
                Line::Entity(entity) => {
                    counts.entities += 1;
                    check_vector(&entity.vector).map_err(|fault| damaged(&fault))?;
                }
                Line::Link(_) => counts.links += 1,
                Line::History(_) => counts.history += 1,
                Line::Message(_) => counts.messages += 1,
                Line::End(promised) => end = Some(promised),
            }
            Ok(())
        })?;
        match end {
            Some(promised) if promised == counts => Ok(()),
            Some(_) => Err(EngineError::invalid(
                "the export's last line counts other records than there are: lines were lost or added. Nothing was imported",
            )),
            None => Err(EngineError::invalid(
                "the export ends before its last line: the file was cut. Nothing was imported; export again",
            )),
        }
    }

    fn restore_memories(
        &self,
        memories: &mut Vec<(usize, StoredMemory)>,
        options: &ImportOptions,
        tails: &mut Tails,
        displaced: &mut Vec<MemoryId>,
        refused: &mut HashSet<MemoryId>,
        imported: &mut ImportReport,
    ) -> Result<()> {
        let mut changes = Vec::with_capacity(memories.len());
        if options.reembed {
            let texts: Vec<String> =
                memories.iter().map(|(_, stored)| embedding_text(&stored.memory.payload)).collect();
            let vectors = self.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
            memories.iter_mut().zip(vectors).for_each(|((_, stored), vector)| stored.vector = vector);
        }
        for (line, stored) in memories.drain(..) {
            let id = stored.memory.id;
            if let Some(existing) = self.store.get_stored(&[id])?.pop().flatten() {
                let same = existing.memory == stored.memory && (options.reembed || existing.vector == stored.vector);
                if same {
                    imported.unchanged += 1;
                } else {
                    let reason = format!("memory {id} is in the store with other content; it was left as it is");
                    imported.refused.push(RejectedRecord { line, reason });
                    refused.insert(id);
                }
                continue;
            }
            let own = mnemon_text::index_terms(stored.memory.payload.text());
            let provenance = &stored.memory.provenance;
            let terms = match (&provenance.session, provenance.position) {
                (Some(session), Some(position)) => {
                    let scope = stored.memory.payload.scope();
                    let tail = match tails.entry((scope.clone(), session.clone())) {
                        Entry::Occupied(found) => found.into_mut(),
                        Entry::Vacant(place) => {
                            let held = self.store.session(&scope, session, SessionWindow::Last(1))?;
                            place.insert(Tail { shared: !held.is_empty(), last: Vec::new() })
                        }
                    };
                    // Out of order, or among others: its place is looked up once all are in.
                    if tail.shared || tail.last.first().is_some_and(|(last, _)| *last >= position) {
                        displaced.push(id);
                    }
                    let before: Vec<&[u32]> = tail.last.iter().map(|(_, terms)| terms.as_slice()).collect();
                    let terms = count_terms(&own, &before, speaker(&stored.memory));
                    tail.last.insert(0, (position, own));
                    tail.last.truncate(CONTEXT_REACH);
                    terms
                }
                _ => count_terms(&own, &[], speaker(&stored.memory)),
            };
            imported.stored.memories += 1;
            changes.push(Change::Insert(Box::new(Record {
                holds_time_word: mnemon_text::dates::holds_time_word(stored.memory.payload.text()),
                memory: stored.memory,
                vector: stored.vector,
                bm25: stored.bm25,
                terms,
                mentions: Vec::new(),
            })));
        }
        let there = self.insert_new(changes)?;
        imported.stored.memories -= there;
        imported.unchanged += there;
        Ok(())
    }

    /// Computes the vectors of entities anew, if that is asked for.
    fn embed_entities(&self, changes: &mut [Change], options: &ImportOptions) -> Result<()> {
        if !options.reembed {
            return Ok(());
        }
        let mut entities: Vec<&mut Entity> = Vec::new();
        for change in changes {
            if let Change::InsertEntity(entity) = change {
                entities.push(entity);
            }
        }
        let names: Vec<&str> = entities.iter().map(|entity| entity.text()).collect();
        let vectors = self.embed(&names)?;
        entities.iter_mut().zip(vectors).for_each(|(entity, vector)| entity.vector = vector);
        Ok(())
    }

    fn recount_in_place(&self, id: MemoryId) -> Result<()> {
        let scope = self.owner(id)?;
        self.commit(&[&scope], || {
            let mut changes = Vec::new();
            if let Some(memory) = self.store.get(&[id])?.pop().flatten() {
                let (terms, later) = self.recount(&memory, Some(memory.payload.text()))?;
                changes.push(Change::SetTerms(id, terms));
                changes.extend(later);
            }
            Ok((ChangeSet { expected: Vec::new(), changes }, ()))
        })
    }
}
