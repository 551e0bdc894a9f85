//! A Qdrant collection as a target.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mnemon_store::qdrant::{CollectionInfo, Indexing, NewCollection, QdrantServer, entity_collection};
use mnemon_store::{Entity, MemoryId, Record, Sparse, StoredMemory, keys};

use super::interface::Target;
use crate::error::{Refusal, Result};
use crate::progress::Progress;
use crate::source::{Collection, Source};

/// The pause between two requests for the state of an index.
const INDEX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The number of entities in a page.
const ENTITY_PAGE: usize = 500;
/// Payload keys that search needs an index of.
const INDEXED_KEYS: [&str; 5] = ["user_id", "agent_id", "run_id", "actor_id", "created_at"];

/// The parts of a point that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFormat {
    /// The whole point, in the format of mem0 v2.
    Full,
    /// Only lemmas and sparse vectors, which are added to existing points.
    Additions,
    /// The whole point in the format of mem0 before v2: without lemmas and sparse vector.
    Legacy,
}

/// A Qdrant collection and the format of the points written to it. Entities are written to the collection beside it.
#[derive(Debug)]
pub struct CollectionTarget {
    server: Arc<QdrantServer>,
    name: String,
    format: PointFormat,
    indexing_threshold: u64,
}

impl CollectionTarget {
    /// Takes a collection as a target. Before the first write the collection must exist, see [`Target::prepare`].
    pub fn new(server: Arc<QdrantServer>, name: impl Into<String>, format: PointFormat) -> Self {
        Self { server, name: name.into(), format, indexing_threshold: 0 }
    }

    /// Sets the size in kB from which Qdrant indexes the vectors of a segment.
    #[must_use]
    pub fn with_indexing_threshold(mut self, kilobytes: u64) -> Self {
        self.indexing_threshold = kilobytes;
        self
    }

    /// Adds lemmas and sparse vectors to points that other clients may delete at the same time. Qdrant refuses the
    /// whole request if one of the points does not exist.
    fn annotate(&self, mut additions: Vec<(MemoryId, String, Sparse)>) -> Result<()> {
        while !additions.is_empty() {
            let Err(error) = self.server.write_bm25(&self.name, &additions) else { return Ok(()) };
            let ids: Vec<MemoryId> = additions.iter().map(|(id, ..)| *id).collect();
            let existing = self.server.get(&self.name, &ids)?;
            if existing.len() == ids.len() {
                return Err(error.into());
            }
            additions.retain(|(id, ..)| existing.contains_key(id));
        }
        Ok(())
    }

    /// The existing collection, if it fits.
    fn existing(&self, dims: usize) -> Result<Option<CollectionInfo>> {
        let (name, entities) = (&self.name, entity_collection(&self.name));
        for name in [name, &entities] {
            let Some(existing) = self.server.describe(name)? else { continue };
            if existing.name != *name && *name == self.name {
                return Err(Refusal::TargetIsAlias { alias: name.clone(), collection: existing.name }.into());
            }
            if existing.dims != Some(dims) || existing.distance != "Cosine" {
                let refusal = Refusal::TargetHasOtherVectors {
                    collection: name.clone(),
                    dims: existing.dims.unwrap_or(0),
                    distance: existing.distance,
                    source_dims: dims,
                };
                return Err(refusal.into());
            }
        }
        let existing = self.server.describe(name)?;
        if existing.as_ref().is_some_and(|existing| !existing.has_bm25) && self.format != PointFormat::Additions {
            return Err(Refusal::TargetHasNoBm25 { collection: name.clone() }.into());
        }
        Ok(existing)
    }
}

impl Target for CollectionTarget {
    fn location(&self) -> String {
        format!("{}/{}", self.server.location(), self.name)
    }

    fn concurrency(&self) -> usize {
        3
    }

    fn batch_size(&self) -> usize {
        500
    }

    fn builds_entities(&self) -> bool {
        false
    }

    fn check(&self, dims: usize) -> Result<()> {
        self.existing(dims).map(drop)
    }

    fn prepare(&self, dims: usize, new: &NewCollection) -> Result<()> {
        if self.existing(dims)?.is_some_and(|existing| !existing.has_bm25) {
            self.server.add_bm25(&self.name)?;
        }
        Ok(self.server.create_collection(&self.name, dims, new)?)
    }

    fn approximate_count(&self) -> Result<Option<u64>> {
        Ok(self.server.describe(&self.name)?.map(|collection| collection.points))
    }

    fn count(&self) -> Result<u64> {
        Ok(self.server.count(&self.name)?)
    }

    fn entity_count(&self) -> Result<u64> {
        Ok(self.server.describe(&entity_collection(&self.name))?.map_or(0, |collection| collection.points))
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        if self.format == PointFormat::Additions {
            let addition = |record: Record| {
                let lemmas = record.memory.payload.str(keys::TEXT_LEMMATIZED).unwrap_or_default().to_owned();
                (record.memory.id, lemmas, record.bm25)
            };
            // A point without text gets no additions.
            let additions = records.into_iter().filter(|record| !record.memory.payload.text().is_empty()).map(addition);
            return self.annotate(additions.collect());
        }
        let stored = |mut record: Record| {
            if self.format == PointFormat::Legacy {
                record.memory.payload.remove(keys::TEXT_LEMMATIZED);
            }
            StoredMemory { memory: record.memory, vector: record.vector, bm25: record.bm25 }
        };
        let points: Vec<StoredMemory> = records.into_iter().map(stored).collect();
        Ok(self.server.write_points(&self.name, &points, self.format == PointFormat::Full)?)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(self.server.remove(&self.name, ids)?)
    }

    fn put_entities(&self, entities: &[Entity]) -> Result<()> {
        Ok(self.server.put_entities(&self.name, entities)?)
    }

    fn remove_entities(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(self.server.remove(&entity_collection(&self.name), ids)?)
    }

    fn entities(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Entity>> {
        let found = self.server.entities_by_id(&self.name, ids)?;
        Ok(found.into_iter().map(|entity| (entity.id, entity)).collect())
    }

    fn visit_entities(&self, visit: &mut dyn FnMut(Entity)) -> Result<()> {
        if self.server.describe(&entity_collection(&self.name))?.is_none() {
            return Ok(());
        }
        let mut from = None;
        loop {
            let (entities, next) = self.server.entities(&self.name, from, ENTITY_PAGE)?;
            entities.into_iter().for_each(&mut *visit);
            if next.is_none() {
                return Ok(());
            }
            from = next;
        }
    }

    fn record_without_entities(&self, without: bool) -> Result<()> {
        Ok(self.server.record_without_entities(&self.name, without)?)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        Ok(self.server.get(&self.name, ids)?)
    }

    fn first_by_bm25(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        Ok(self.server.first_by_bm25(&self.name, user, vector)?)
    }

    fn missing_indexes(&self) -> Result<Vec<String>> {
        let indexed = self.server.describe(&self.name)?.map(|collection| collection.indexed).unwrap_or_default();
        let needed = INDEXED_KEYS.into_iter().map(str::to_owned);
        Ok(needed.filter(|key| self.format != PointFormat::Legacy && !indexed.contains(key)).collect())
    }

    fn start_indexing(&self) -> Result<()> {
        Ok(self.server.index_vectors(&self.name, self.indexing_threshold)?)
    }

    fn wait_for_index(&self, progress: &Progress<'_>) -> Result<Option<String>> {
        if self.format != PointFormat::Full {
            return Ok(None);
        }
        for name in [&self.name, &entity_collection(&self.name)] {
            while let Some(collection) = self.server.describe(name)? {
                match collection.indexing {
                    Indexing::Working { indexed } => {
                        let indexed = usize::try_from(indexed.min(collection.points)).unwrap_or(0);
                        progress("indexed", indexed, collection.points);
                        std::thread::sleep(INDEX_POLL_INTERVAL);
                    }
                    Indexing::Failed(reason) => return Ok(Some(format!("vectors of `{name}`: {reason}"))),
                    Indexing::Done => break,
                }
            }
        }
        Ok(None)
    }

    fn as_source(&self) -> Result<Box<dyn Source + '_>> {
        Ok(Box::new(Collection::open(self.server.clone(), &self.name)?))
    }
}
