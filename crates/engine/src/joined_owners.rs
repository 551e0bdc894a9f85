//! Owners whose ids differ only in their Unicode form. Older versions kept them apart; a command joins them.

use std::collections::{BTreeMap, HashMap};

use mnemon_store::{Change, ChangeSet, Filter, MemoryId, Mention, Owner, OwnerKind, PageRequest, Scope, nfc};

use crate::engine::Engine;
use crate::error::Result;
use crate::foreign::enrich_stored;
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
                    joined += usize::from(self.give_to(memory.id, owner.kind, &target)?);
                }
            }
        }
        Ok(joined)
    }

    /// Gives a memory to another owner of this kind, in the state it has at the commit. Returns whether it was given: not if another
    /// writer has deleted it, or has changed its owners, since it was listed.
    fn give_to(&self, id: MemoryId, kind: OwnerKind, owner: &str) -> Result<bool> {
        let Some(listed) = self.store.get(&[id])?.pop().flatten() else { return Ok(false) };
        let from = listed.payload.scope();
        let mut payload = listed.payload;
        payload.set(kind.key(), owner);
        let to = payload.scope();
        let is_given = self.commit(&[&from, &to], || {
            let changes: Vec<Change> = self.given_record(id, &from, kind, owner)?.into_iter().collect();
            let is_given = !changes.is_empty();
            Ok((ChangeSet { expected: Vec::new(), changes }, is_given))
        })?;
        if is_given {
            self.commit(&[&to], || {
                let memory = self.store.get(&[id])?.pop().flatten();
                let Some(memory) = memory.filter(|memory| memory.payload.scope() == to) else {
                    return Ok((ChangeSet::default(), ()));
                };
                let (terms, mut changes) =
                    recount(self.store(), &memory, Some(memory.payload.text()), &HashMap::new())?;
                changes.push(Change::SetTerms(id, terms));
                Ok((ChangeSet { expected: Vec::new(), changes }, ()))
            })?;
        }
        Ok(is_given)
    }

    /// The change that gives a memory of these owners to another one; `None` if it has others now, or was deleted.
    fn given_record(&self, id: MemoryId, from: &Scope, kind: OwnerKind, owner: &str) -> Result<Option<Change>> {
        let stored = self.store.get_stored(&[id])?.pop().flatten();
        let Some(mut stored) = stored.filter(|stored| stored.memory.payload.scope() == *from) else {
            return Ok(None);
        };
        stored.memory.payload.set(kind.key(), owner);
        let mut record = enrich_stored(stored);
        let mention = |entity: mnemon_store::Entity| Mention {
            kind: entity.kind().to_owned(),
            text: entity.text().to_owned(),
            vector: entity.vector,
        };
        record.mentions = self.store.entities_of(id)?.into_iter().map(mention).collect();
        Ok(Some(Change::Replace(Box::new(record))))
    }
}
