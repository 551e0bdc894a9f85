//! Whether the collections and the ledger agree, checked on request, and mended where nothing is lost by it.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;

use qdrant_client::qdrant::{Condition, Filter as Remote};

use super::QdrantStore;
use super::codec::BM25;
use super::compare::Comparison;
use super::entities::entity;
use super::outbox::deletion;
use super::plan::Plan;
use super::sync::Reach;
use super::tables::{id_value, link_at};
use crate::database::{Lock, snapshot, transact};
use crate::{Durability, Finding, Link, MemoryId, Result, keys};

/// What should not be.
#[derive(Default)]
struct Found {
    pending: usize,
    unnamed: Vec<MemoryId>,
    /// Memories that entities name and that are not there.
    missing: BTreeSet<MemoryId>,
    links_to_nothing: Vec<Link>,
    without_slot: usize,
    /// Memories of whose last change by another program nothing is known here.
    unseen: Vec<MemoryId>,
    /// Memories that only the history knows.
    vanished: usize,
}

impl QdrantStore {
    fn inspect(&self) -> Result<Found> {
        let mut found = Found {
            pending: snapshot(self.ledger(), |sql| Ok(sql.query("SELECT seq FROM outbox", &[])?.len()))?,
            ..Found::default()
        };
        let Comparison { there: ids, differing } = self.compare(Reach::Everything)?;
        found.unseen = differing;
        for point in self.inner.client.wait(self.scroll_entities(Remote::default(), false))? {
            let entity = entity(point)?;
            if entity.memories.is_empty() {
                found.unnamed.push(entity.id);
            }
            found.missing.extend(entity.memories.into_iter().filter(|id| !ids.contains(id)));
        }
        let links = snapshot(self.ledger(), |sql| {
            let rows = sql.query("SELECT source, target, kind, created_at FROM links", &[])?;
            rows.iter().map(link_at).collect::<Result<Vec<_>>>()
        })?;
        found.links_to_nothing =
            links.into_iter().filter(|link| !ids.contains(&link.source) || !ids.contains(&link.target)).collect();
        found.vanished = self.vanished(&ids)?;
        if self.inner.collections.has_bm25 {
            let mut without = Remote::must_not([Condition::has_vector(BM25)]);
            without.must_not.push(Condition::is_empty(keys::TEXT_LEMMATIZED));
            found.without_slot = self.count_points(&self.inner.collections.memories, without)?;
        }
        Ok(found)
    }

    /// How many memories are neither there nor known to be gone, though the last row of their history is no deletion. Only
    /// where the row says whose they were: we write that of each, while mem0's histories say it of none.
    fn vanished(&self, there: &HashSet<MemoryId>) -> Result<usize> {
        let rows = snapshot(self.ledger(), |sql| {
            sql.query(
                "SELECT memory_id FROM history last WHERE event <> 'DELETE'
                   AND coalesce(user_id, agent_id, run_id) IS NOT NULL
                   AND seq = (SELECT max(seq) FROM history WHERE memory_id = last.memory_id)",
                &[],
            )
        })?;
        let mut vanished = Vec::new();
        for row in rows {
            vanished.extend(row.text(0)?.parse().ok().filter(|id: &MemoryId| !there.contains(id)));
        }
        snapshot(self.ledger(), |sql| {
            let mut unknown = 0;
            for id in &vanished {
                unknown += usize::from(sql.query("SELECT 1 FROM memories WHERE id = $1", &[id_value(*id)])?.is_empty());
            }
            Ok(unknown)
        })
    }

    pub(super) fn findings(&self) -> Result<Vec<Finding>> {
        self.look_at_ledger()?;
        self.notice(Reach::Everything)?;
        let found = self.inspect()?;
        let mut unseen = 0;
        // What is pending may differ, and is told as such.
        if found.pending == 0 && !found.unseen.is_empty() {
            let _held = self.ledger().lock(&Lock::Everything)?;
            unseen = self.revisit(&found.unseen)?.count();
        }
        let told = [
            (
                "another_ledger",
                usize::from(self.inner.foreign.load(Ordering::Relaxed)),
                "the collection was served with another ledger, which holds its history, links and sessions: name that one \
                 (MNEMON_LEDGER); if it is lost, --fix keeps this one",
            ),
            (
                "pending_writes",
                found.pending,
                "writes were accepted and are not yet applied to Qdrant: --fix applies them, and so does a running server",
            ),
            (
                "memory_unseen",
                unseen,
                "memories were changed by another program without its having been noticed: they are entered now",
            ),
            (
                "history_without_memory",
                found.vanished,
                "the history holds memories that are neither there nor deleted: `history` shows their last text",
            ),
            (
                "entity_without_link",
                found.unnamed.len(),
                "entities are named by no memory: harmless, --fix removes them",
            ),
            (
                "entity_link_to_nothing",
                found.missing.len(),
                "memories that entities name are gone: they weigh on the ranking of profile mem0, --fix strips them",
            ),
            (
                "link_to_nothing",
                found.links_to_nothing.len(),
                "links between memories lead to one that is gone: --fix removes them",
            ),
            (
                "memory_without_bm25",
                found.without_slot,
                "memories have lemmas but no bm25 vector: profile mem0 finds them by meaning only; `mnemon update` them, \
                 or write them where fastembed is installed",
            ),
        ];
        Ok(of_some(&told))
    }

    pub(super) fn mend(&self) -> Result<Vec<Finding>> {
        let taken_over = self.take_over()?;
        let applied = self.drain_all()?;
        self.notice(Reach::Everything)?;
        let _held = self.ledger().lock(&Lock::Everything)?;
        let found = self.inspect()?;
        let unseen = self.revisit(&found.unseen)?.count();
        let plan = Plan { stripped: found.missing.iter().copied().collect(), ..Plan::default() };
        self.perform(&[&plan])?;
        if !found.unnamed.is_empty() {
            let entities = &self.inner.collections.entities;
            self.inner.client.wait(self.update(entities, vec![deletion(&found.unnamed)]))?;
        }
        transact(self.ledger(), Durability::Synced, |sql| {
            for link in &found.links_to_nothing {
                sql.execute(
                    "DELETE FROM links WHERE source = $1 AND target = $2 AND kind = $3",
                    &[id_value(link.source), id_value(link.target), crate::database::Value::Text(link.kind.clone())],
                )?;
            }
            Ok(())
        })?;
        let mended = [
            ("another_ledger", usize::from(taken_over), "the collection names this ledger as its own now"),
            ("pending_writes", applied, "accepted writes were applied to Qdrant"),
            ("memory_unseen", unseen, "memories that another program changed were entered"),
            ("entity_without_link", found.unnamed.len(), "entities that no memory names were removed"),
            ("entity_link_to_nothing", found.missing.len(), "memories that are gone were stripped from entities"),
            ("link_to_nothing", found.links_to_nothing.len(), "links to memories that are gone were removed"),
        ];
        Ok(of_some(&mended))
    }
}

/// A finding for each kind of which there are some.
fn of_some(kinds: &[(&'static str, usize, &str)]) -> Vec<Finding> {
    let some = kinds.iter().filter(|(_, count, _)| *count > 0);
    some.map(|&(check, count, detail)| Finding { check, count, detail: detail.to_owned() }).collect()
}
