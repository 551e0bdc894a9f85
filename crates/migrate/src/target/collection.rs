//! A collection of Qdrant as a target.

use std::collections::HashMap;
use std::sync::Arc;

use mnemon_store::qdrant::Server;
use mnemon_store::{MemoryId, Record, Sparse, StoredMemory};

use super::interface::Target;
use crate::error::Result;

/// How a collection is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFormat {
    /// As mem0 v2 writes it, whole points.
    Whole,
    /// The points stay; lemmas and sparse vectors are added.
    Added,
    /// As mem0 before v2 wrote it: without lemmas and sparse vector.
    Legacy,
}

/// A collection of Qdrant.
#[derive(Debug)]
pub struct CollectionTarget {
    server: Arc<Server>,
    name: String,
    shape: PointFormat,
}

impl CollectionTarget {
    /// Takes a collection, which must be there, as a target.
    pub fn new(server: Arc<Server>, name: impl Into<String>, shape: PointFormat) -> Self {
        Self { server, name: name.into(), shape }
    }

    /// Adds to points that others may delete at the same time: Qdrant refuses the whole request then.
    fn annotate(&self, mut additions: Vec<(MemoryId, String, Sparse)>) -> Result<()> {
        while !additions.is_empty() {
            let Err(error) = self.server.annotate(&self.name, &additions) else { return Ok(()) };
            let ids: Vec<MemoryId> = additions.iter().map(|(id, ..)| *id).collect();
            let there = self.server.get(&self.name, &ids)?;
            if there.len() == ids.len() {
                return Err(error.into());
            }
            additions.retain(|(id, ..)| there.contains_key(id));
        }
        Ok(())
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

    fn write(&self, records: Vec<Record>) -> Result<()> {
        if self.shape == PointFormat::Added {
            let addition = |record: Record| {
                let lemmas =
                    record.memory.payload.str(mnemon_store::keys::TEXT_LEMMATIZED).unwrap_or_default().to_owned();
                (record.memory.id, lemmas, record.bm25)
            };
            // A point without words gets nothing.
            let additions = records.into_iter().filter(|record| !record.memory.payload.text().is_empty()).map(addition);
            return self.annotate(additions.collect());
        }
        let stored = |mut record: Record| {
            if self.shape == PointFormat::Legacy {
                record.memory.payload.remove(mnemon_store::keys::TEXT_LEMMATIZED);
            }
            StoredMemory { memory: record.memory, vector: record.vector, bm25: record.bm25 }
        };
        let points: Vec<StoredMemory> = records.into_iter().map(stored).collect();
        Ok(self.server.put(&self.name, &points, self.shape == PointFormat::Whole)?)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        Ok(self.server.remove(&self.name, ids)?)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        Ok(self.server.get(&self.name, ids)?)
    }

    fn count(&self) -> Result<u64> {
        Ok(self.server.count(&self.name)?)
    }

    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        Ok(self.server.first_by_words(&self.name, user, vector)?)
    }

    fn missing_indexes(&self) -> Result<Vec<String>> {
        let indexed = self.server.describe(&self.name)?.map(|described| described.indexed).unwrap_or_default();
        let lacking = ["user_id", "agent_id", "run_id", "actor_id", "created_at"].into_iter().map(str::to_owned);
        Ok(lacking.filter(|key| self.shape != PointFormat::Legacy && !indexed.contains(key)).collect())
    }
}
