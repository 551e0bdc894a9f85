//! Superseded facts: ranks the current fact first.

use std::collections::HashMap;

use mnemon_store::{Memory, MemoryId, Store};

use super::answer::{SearchAnswer, SearchHit};
use super::request::SearchRequest;
use crate::error::Result;
use crate::time::today;

/// Factor on the score of a superseded fact.
const SUPERSEDED_FACTOR: f32 = 0.5;
/// Maximum number of `supersedes` links that are followed from a hit.
const MAX_STEPS: usize = 16;

/// Gives the current fact the score of the hit that it supersedes. The superseded hit is ranked lower, or removed if the
/// request wants current facts only.
pub(super) fn prefer_current(store: &dyn Store, request: &SearchRequest, answer: &mut SearchAnswer) -> Result<()> {
    let ids: Vec<MemoryId> = answer.hits.iter().map(|hit| hit.memory.id).collect();
    let current = current_facts(store, &ids)?;
    if current.is_empty() {
        return Ok(());
    }
    let today = today();
    let is_visible = |memory: &Memory| {
        !request.leaves_out(&memory.id)
            && memory.matches(&request.filter)
            && (request.show_expired || !memory.payload.is_expired(today))
    };
    let current_ids: Vec<MemoryId> = current.values().copied().collect();
    let memories = store.get(&current_ids)?;
    // A fact that the caller may not see supersedes nothing.
    let visible: HashMap<MemoryId, Memory> = current_ids
        .iter()
        .zip(memories)
        .filter_map(|(id, memory)| Some((*id, memory.filter(|memory| is_visible(memory))?)))
        .collect();
    let mut hits: Vec<SearchHit> = Vec::with_capacity(answer.hits.len());
    let mut scores: HashMap<MemoryId, f32> = HashMap::new();
    for mut hit in std::mem::take(&mut answer.hits) {
        let superseded_by = current.get(&hit.memory.id).filter(|id| visible.contains_key(id)).copied();
        if let Some(id) = superseded_by {
            let score = scores.entry(id).or_insert(hit.score);
            *score = score.max(hit.score);
            hit.superseded_by = Some(id);
            hit.score *= SUPERSEDED_FACTOR;
        }
        if superseded_by.is_none() || !request.latest_only {
            hits.push(hit);
        }
    }
    for (id, score) in scores {
        if let Some(hit) = hits.iter_mut().find(|hit| hit.memory.id == id) {
            hit.score = hit.score.max(score);
        } else if let Some(memory) = visible.get(&id).cloned() {
            hits.push(SearchHit { memory, score, explanation: None, superseded_by: None });
        }
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    answer.hits = hits;
    Ok(())
}

/// For each superseded memory, the last one in its chain of `supersedes` links.
fn current_facts(store: &dyn Store, ids: &[MemoryId]) -> Result<HashMap<MemoryId, MemoryId>> {
    let mut current: HashMap<MemoryId, MemoryId> = HashMap::new();
    let mut open: Vec<MemoryId> = ids.to_vec();
    for _ in 0..MAX_STEPS {
        // Links come in the order of their creation, so the newest of several to the same target is kept.
        let next: HashMap<MemoryId, MemoryId> =
            store.successors(&open)?.into_iter().map(|link| (link.target, link.source)).collect();
        if next.is_empty() {
            break;
        }
        for newest in current.values_mut() {
            if let Some(newer) = next.get(newest) {
                *newest = *newer;
            }
        }
        for id in &open {
            if let Some(newer) = next.get(id).filter(|_| ids.contains(id)) {
                current.entry(*id).or_insert(*newer);
            }
        }
        open = next.into_values().filter(|id| !ids.contains(id) || !current.contains_key(id)).collect();
    }
    // A cycle of links has no last fact.
    current.retain(|from, to| from != to);
    Ok(current)
}
