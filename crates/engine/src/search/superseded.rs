//! Facts that newer ones stand in for: the current one comes first.

use std::collections::HashMap;

use mnemon_store::MemoryId;

use super::{SearchAnswer, SearchHit, SearchRequest};
use crate::engine::today;
use crate::{Engine, Result};

/// What is left of the score of a fact that is no longer current.
const OUTDATED: f32 = 0.5;
/// How many times a fact may have been replaced to be followed to the last.
const MAX_STEPS: usize = 16;

impl Engine {
    /// Puts the current fact in the place of one that it stands in for, and that one further down, or nowhere if only
    /// current ones are asked for.
    pub(super) fn prefer_successors(&self, request: &SearchRequest, answer: &mut SearchAnswer) -> Result<()> {
        let ids: Vec<MemoryId> = answer.hits.iter().map(|hit| hit.memory.id).collect();
        let current = self.current(&ids)?;
        if current.is_empty() {
            return Ok(());
        }
        let today = today();
        let shown = |memory: &mnemon_store::Memory| {
            let expires = memory.payload.expiration_date();
            request.filter.matches(memory.payload.as_map())
                && (request.show_expired || expires.is_none_or(|date| date >= today))
        };
        let newest: Vec<MemoryId> = current.values().copied().collect();
        let newest = newest.iter().zip(self.store.get(&newest)?);
        let newest: HashMap<MemoryId, _> =
            newest.filter_map(|(id, memory)| Some((*id, memory.filter(|memory| shown(memory))?))).collect();
        let mut hits: Vec<SearchHit> = Vec::with_capacity(answer.hits.len());
        let mut lifted: HashMap<MemoryId, f32> = HashMap::new();
        for mut hit in std::mem::take(&mut answer.hits) {
            // One that the caller may not see stands in for nothing.
            let by = current.get(&hit.memory.id).filter(|id| newest.contains_key(id)).copied();
            if let Some(by) = by {
                let score = lifted.entry(by).or_insert(hit.score);
                *score = score.max(hit.score);
                hit.superseded_by = Some(by);
                hit.score *= OUTDATED;
            }
            if by.is_none() || !request.latest_only {
                hits.push(hit);
            }
        }
        for (id, score) in lifted {
            match hits.iter_mut().find(|hit| hit.memory.id == id) {
                Some(hit) => hit.score = hit.score.max(score),
                None => {
                    let Some(memory) = newest.get(&id).cloned() else { continue };
                    hits.push(SearchHit { memory, score, explanation: None, superseded_by: None });
                }
            }
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        answer.hits = hits;
        Ok(())
    }

    /// For each of these that another stands in for, the last of that line.
    fn current(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, MemoryId>> {
        let mut current: HashMap<MemoryId, MemoryId> = HashMap::new();
        let mut open: Vec<MemoryId> = ids.to_vec();
        for _ in 0..MAX_STEPS {
            // Of several the last one made, for they come in that order.
            let next: HashMap<MemoryId, MemoryId> =
                self.store.successors(&open)?.into_iter().map(|link| (link.target, link.source)).collect();
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
        // A line that leads back to where it began has no last one.
        current.retain(|from, to| from != to);
        Ok(current)
    }
}
