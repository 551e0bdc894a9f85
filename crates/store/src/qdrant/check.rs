//! Checks whether the collections and the ledger agree, and repairs what can be repaired without losing a memory.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use qdrant_client::qdrant::{Condition, Filter as RemoteFilter};

use super::bindings::{check_ledger_id, take_over_collection};
use super::codec::{BM25, delete_operation, entity};
use super::compare::{Comparison, compare};
use super::entities::scroll_entities;
use super::external_changes::ensure_recorded;
use super::inner::Inner;
use super::outbox::{apply_all_pending, apply_plans};
use super::plan::Plan;
use super::point_set::PointSet;
use super::points::{count_points, update};
use super::record_points::record_current_points;
use super::tables::{EXISTS, id_value};
use crate::database::{Lock, snapshot, transact};
use crate::shared_tables::{links, messages};
use crate::{Durability, Finding, Link, MemoryId, MessageSelector, Result, keys};

/// Inconsistencies that an inspection found.
#[derive(Default)]
struct Inspection {
    pending_writes: usize,
    /// Entities that no memory mentions.
    unreferenced: Vec<MemoryId>,
    /// Memories that entities link to and that do not exist.
    missing: BTreeSet<MemoryId>,
    /// Links to memories that do not exist.
    broken_links: Vec<Link>,
    without_bm25: usize,
    /// Memories whose last change by another program is not recorded.
    unrecorded: Vec<MemoryId>,
    /// Memories that exist only in the history.
    vanished: usize,
    /// Messages that an interrupted deletion left.
    leftovers: Vec<String>,
}

fn inspect(inner: &Inner) -> Result<Inspection> {
    let mut found = Inspection {
        pending_writes: snapshot(inner.ledger(), |sql| Ok(sql.query("SELECT seq FROM outbox", &[])?.len()))?,
        ..Inspection::default()
    };
    let Comparison { existing, differing } = compare(inner, PointSet::All)?;
    found.unrecorded = differing;
    for point in inner.client.wait(scroll_entities(inner, RemoteFilter::default(), false))? {
        let entity = entity(point)?;
        if entity.memories.is_empty() {
            found.unreferenced.push(entity.id);
        }
        found.missing.extend(entity.memories.into_iter().filter(|id| !existing.contains(id)));
    }
    let all_links = snapshot(inner.ledger(), |sql| links::all_links(sql))?;
    found.broken_links = all_links
        .into_iter()
        .filter(|link| !existing.contains(&link.source) || !existing.contains(&link.target))
        .collect();
    found.vanished = vanished_memories(inner, &existing)?;
    found.leftovers = snapshot(inner.ledger(), |sql| messages::leftovers(sql, EXISTS))?;
    if inner.collections.has_bm25 {
        let mut without_bm25 = RemoteFilter::must_not([Condition::has_vector(BM25)]);
        without_bm25.must_not.push(Condition::is_empty(keys::TEXT_LEMMATIZED));
        found.without_bm25 = count_points(inner, &inner.collections.memories, without_bm25)?;
    }
    Ok(found)
}

/// The number of memories that neither exist nor are known to be deleted, although their last history event is not a
/// deletion. Only events with an owner count: Mnemon records the owner of every event, while mem0's histories have none.
fn vanished_memories(inner: &Inner, existing: &HashSet<MemoryId>) -> Result<usize> {
    let rows = snapshot(inner.ledger(), |sql| {
        sql.query(
            "SELECT memory_id FROM history last WHERE event <> 'DELETE'
               AND coalesce(user_id, agent_id, run_id) IS NOT NULL
               AND seq = (SELECT max(seq) FROM history WHERE memory_id = last.memory_id)",
            &[],
        )
    })?;
    let mut missing = Vec::new();
    for row in rows {
        missing.extend(row.text(0)?.parse().ok().filter(|id: &MemoryId| !existing.contains(id)));
    }
    snapshot(inner.ledger(), |sql| {
        let mut unknown = 0;
        for id in &missing {
            unknown += usize::from(sql.query("SELECT 1 FROM memories WHERE id = $1", &[id_value(*id)])?.is_empty());
        }
        Ok(unknown)
    })
}

pub(super) fn check(inner: &Arc<Inner>) -> Result<Vec<Finding>> {
    check_ledger_id(inner)?;
    ensure_recorded(inner, PointSet::All)?;
    let found = inspect(inner)?;
    let mut unrecorded = 0;
    // Pending writes cause differences. They are reported as pending writes.
    if found.pending_writes == 0 && !found.unrecorded.is_empty() {
        let _guard = inner.ledger().lock(&Lock::Everything)?;
        unrecorded = record_current_points(inner, &found.unrecorded)?.total();
    }
    Ok(nonzero_findings(&[
        (
            "another_ledger",
            usize::from(inner.other_ledger.load(Ordering::Relaxed)),
            "the collection was served with another ledger, which has its history, links and sessions: set `ledger` to \
             that one; if it is lost, a repair keeps this one",
        ),
        (
            "pending_writes",
            found.pending_writes,
            "accepted writes are not applied to Qdrant yet: a repair applies them, and so does a running server",
        ),
        (
            "memory_unseen",
            unrecorded,
            "another program changed memories and the change was not detected: it is recorded now",
        ),
        (
            "history_without_memory",
            found.vanished,
            "memories of the history neither exist nor were deleted: `history` shows their last text",
        ),
        (
            "message_of_deleted_owner",
            found.leftovers.len(),
            "a deletion was interrupted: the memories of an owner are deleted, but not their messages: a repair deletes them",
        ),
        (
            "entity_without_link",
            found.unreferenced.len(),
            "entities are mentioned by no memory: harmless, a repair removes them",
        ),
        (
            "entity_link_to_nothing",
            found.missing.len(),
            "entities link to memories that do not exist, which affects the ranking of profile mem0: a repair removes \
             the links",
        ),
        (
            "link_to_nothing",
            found.broken_links.len(),
            "links between memories lead to memories that do not exist: a repair removes them",
        ),
        (
            "memory_without_bm25",
            found.without_bm25,
            "memories have lemmas but no bm25 vector, so that profile mem0 finds them by meaning only: change \
             their text, or write them where fastembed is installed",
        ),
    ]))
}

pub(super) fn repair(inner: &Arc<Inner>) -> Result<Vec<Finding>> {
    let taken_over = take_over_collection(inner)?;
    let applied = apply_all_pending(inner)?;
    ensure_recorded(inner, PointSet::All)?;
    let _guard = inner.ledger().lock(&Lock::Everything)?;
    let found = inspect(inner)?;
    let unrecorded = record_current_points(inner, &found.unrecorded)?.total();
    let plan = Plan { unlinked: found.missing.iter().copied().collect(), ..Plan::default() };
    apply_plans(inner, &[&plan])?;
    if !found.unreferenced.is_empty() {
        let entities = &inner.collections.entities;
        inner.client.wait(update(inner, entities, vec![delete_operation(&found.unreferenced)]))?;
    }
    transact(inner.ledger(), Durability::Synced, |sql| {
        messages::delete(sql, &MessageSelector::Ids(found.leftovers.clone()))?;
        found.broken_links.iter().try_for_each(|link| links::delete(sql, link))
    })?;
    Ok(nonzero_findings(&[
        ("another_ledger", usize::from(taken_over), "this ledger was recorded as the ledger of the collection"),
        ("pending_writes", applied, "accepted writes were applied to Qdrant"),
        ("memory_unseen", unrecorded, "changes of another program to memories were recorded"),
        (
            "message_of_deleted_owner",
            found.leftovers.len(),
            "messages of owners whose memories were deleted before were deleted",
        ),
        ("entity_without_link", found.unreferenced.len(), "entities that no memory mentioned were removed"),
        (
            "entity_link_to_nothing",
            found.missing.len(),
            "links from entities to memories that do not exist were removed",
        ),
        ("link_to_nothing", found.broken_links.len(), "links to memories that do not exist were removed"),
    ]))
}

fn nonzero_findings(findings: &[(&'static str, usize, &str)]) -> Vec<Finding> {
    let nonzero = findings.iter().filter(|(_, count, _)| *count > 0);
    nonzero.map(|&(check, count, detail)| Finding { check, count, detail: detail.to_owned() }).collect()
}
