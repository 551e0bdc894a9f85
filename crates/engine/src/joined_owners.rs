//! Owners whose ids differ only in their Unicode form. Older versions kept them apart; a command joins them.

use std::collections::{BTreeMap, HashMap};

use mnemon_store::{Change, ChangeSet, Filter, MemoryId, Mention, Owner, OwnerKind, PageRequest, StoreError, nfc};

use crate::engine::Engine;
use crate::error::Result;
use crate::foreign::{ForeignPoint, enrich};
use crate::session::recount;

/// Memories that are read together.
const BATCH: usize = 200;

impl Engine {
    /// The owners whose ids differ from another owner's only in their Unicode form, by id in its composed form (NFC).
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn owners_in_several_forms(&self) -> Result<Vec<Vec<Owner>>> {
        let mut by_id: BTreeMap<(&str, String), Vec<Owner>> = BTreeMap::new();
        for owner in self.store.owners(None)? {
            // Apps are compared in NFC wherever memories are selected by them.
            if owner.kind != OwnerKind::App && !owner.id.is_ascii() {
                by_id.entry((owner.kind.as_str(), nfc(&owner.id).into_owned())).or_default().push(owner);
            }
        }
        Ok(by_id.into_values().filter(|owners| owners.len() > 1).collect())
    }

    /// Makes one owner of those whose ids differ only in their Unicode form: their memories get the composed form.
    /// Returns the number of changed memories. Ids of memories, vectors, links and history stay.
    ///
    /// # Errors
    /// Only if the store fails; owners that are already joined stay joined.
    pub fn join_owners(&self) -> Result<usize> {
        let mut joined = 0;
        for owner in self.owners_in_several_forms()?.into_iter().flatten() {
            let target = nfc(&owner.id).into_owned();
            if owner.id == target {
                continue;
            }
            let filter = Filter::eq(owner.kind.key(), owner.id.as_str())?;
            loop {
                let page = PageRequest { limit: BATCH, ..PageRequest::default() };
                let memories = self.store.list(Some(&filter), None, &page)?.items;
                if memories.is_empty() {
                    break;
                }
                for memory in memories.iter().rev() {
                    self.give_to(memory.id, owner.kind, &target)?;
                    joined += 1;
                }
            }
        }
        Ok(joined)
    }

    /// Gives a memory to another owner of this kind.
    fn give_to(&self, id: MemoryId, kind: OwnerKind, owner: &str) -> Result<()> {
        let stored = self.store.get_stored(&[id])?.pop().flatten().ok_or(StoreError::NotFound(id))?;
        let from = stored.memory.payload.scope();
        let mut payload = stored.memory.payload.clone();
        payload.set(kind.key(), owner);
        let to = payload.scope();
        let mut record = enrich(vec![ForeignPoint { id, payload, vector: stored.vector }]).remove(0);
        record.memory.provenance = stored.memory.provenance.clone();
        let mention = |entity: mnemon_store::Entity| Mention {
            kind: entity.kind().to_owned(),
            text: entity.text().to_owned(),
            vector: entity.vector,
        };
        record.mentions = self.store.entities_of(id)?.into_iter().map(mention).collect();
        self.commit(&[&from, &to], || {
            let changes = vec![Change::Replace(Box::new(record.clone()))];
            Ok((ChangeSet { expected: Vec::new(), changes }, ()))
        })?;
        self.commit(&[&to], || {
            let memory = record.memory.clone();
            let (terms, mut changes) = recount(self.store(), &memory, Some(memory.payload.text()), &HashMap::new())?;
            changes.push(Change::SetTerms(id, terms));
            Ok((ChangeSet { expected: Vec::new(), changes }, ()))
        })
    }
}
