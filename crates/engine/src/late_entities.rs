//! Entities of memories that were stored without them.

use std::collections::{BTreeMap, HashMap, HashSet};

use mnemon_models::Embedder;
use mnemon_store::{Change, ChangeSet, MemoryId, Record, Scope, StoredMemory};

use crate::engine::Engine;
use crate::error::Result;
use crate::foreign::{embed_mentions, enrich_stored};
use crate::session::recount;

impl Engine {
    /// Adds the entities of memories that were stored without them. Those that `is_unchanged` does not accept any more when
    /// they are written, or that were deleted, are left as they are. Returns the ids of those that got their entities.
    ///
    /// # Errors
    /// [`EngineError::Model`](crate::EngineError::Model) if the embedder fails; else only if the store fails.
    pub fn add_entities(
        &self,
        ids: &[MemoryId],
        embedder: &dyn Embedder,
        is_unchanged: &dyn Fn(&StoredMemory) -> bool,
    ) -> Result<HashSet<MemoryId>> {
        let unchanged = |ids: &[MemoryId]| -> Result<Vec<Record>> {
            let stored = self.store.get_stored(ids)?.into_iter().flatten();
            Ok(stored.filter(|stored| is_unchanged(stored)).map(enrich_stored).collect())
        };
        // Names are embedded before other writers have to wait.
        let mut embedded = unchanged(ids)?;
        embed_mentions(&mut embedded, Some(embedder))?;
        let mut scopes: BTreeMap<Scope, Vec<MemoryId>> = BTreeMap::new();
        let mut mentions = HashMap::with_capacity(embedded.len());
        for record in embedded {
            scopes.entry(record.memory.payload.scope()).or_default().push(record.memory.id);
            mentions.insert(record.memory.id, record.mentions);
        }
        let mut completed = HashSet::new();
        for (scope, ids) in &scopes {
            completed.extend(self.commit(&[scope], || {
                let mut records = unchanged(ids)?;
                records.retain(|record| record.memory.payload.scope() == *scope);
                let written: Vec<MemoryId> = records.iter().map(|record| record.memory.id).collect();
                let mut changes = Vec::with_capacity(records.len());
                for mut record in records {
                    record.mentions.clone_from(&mentions[&record.memory.id]);
                    let text = record.memory.payload.text();
                    record.terms = recount(self.store(), &record.memory, Some(text), &HashMap::new())?.0;
                    changes.push(Change::Replace(Box::new(record)));
                }
                Ok((ChangeSet { expected: Vec::new(), changes }, written))
            })?);
        }
        Ok(completed)
    }
}
