//! Superseded facts: ranks the current facts first.

use std::collections::{HashMap, HashSet};

use mnemon_store::{Memory, MemoryId, Store};

use super::answer::{SearchAnswer, SearchHit};
use super::request::SearchRequest;
use crate::error::Result;
use crate::time::today;
use crate::versions::Versions;

/// Factor on the score of a superseded fact.
const SUPERSEDED_FACTOR: f32 = 0.5;

/// Which hits of an answer are superseded, and by what.
pub(super) struct Superseded {
    versions: Versions,
    /// The facts that are linked with the hits, as far as the request may show them.
    visible: HashMap<MemoryId, Memory>,
}

impl Superseded {
    /// Follows the links of the hits to their ends.
    pub(super) fn of(store: &dyn Store, request: &SearchRequest, answer: &SearchAnswer) -> Result<Self> {
        let ids: Vec<MemoryId> = answer.hits.iter().map(|hit| hit.memory.id).collect();
        let links = store.versions(&ids)?;
        let linked: HashSet<MemoryId> = links.iter().flat_map(|link| [link.source, link.target]).collect();
        let linked: Vec<MemoryId> = linked.into_iter().collect();
        let today = today();
        // A fact that the caller may not see supersedes nothing.
        let is_visible = |memory: &Memory| {
            !request.leaves_out(&memory.id)
                && memory.matches(&request.filter)
                && (request.show_expired || !memory.payload.is_expired(today))
        };
        let found = store.get(&linked)?.into_iter().flatten().filter(is_visible);
        let visible: HashMap<MemoryId, Memory> = found.map(|memory| (memory.id, memory)).collect();
        Ok(Self { versions: Versions::new(&links, &visible.keys().copied().collect()), visible })
    }

    /// The number of current facts that the hits lead to.
    pub(super) fn current(&self, answer: &SearchAnswer) -> usize {
        let mut current: HashSet<MemoryId> = HashSet::new();
        for hit in &answer.hits {
            match self.versions.superseded_by(hit.memory.id) {
                Some(_) => current.extend(self.versions.current_for(hit.memory.id)),
                None => drop(current.insert(hit.memory.id)),
            }
        }
        current.len()
    }

    /// Gives each current fact the score of the best hit that it supersedes. Superseded hits are ranked lower, or removed if
    /// the request wants current facts only.
    pub(super) fn prefer_current(mut self, request: &SearchRequest, answer: &mut SearchAnswer) {
        let mut hits: Vec<SearchHit> = Vec::with_capacity(answer.hits.len());
        // In the order of the best hit that leads to each.
        let mut current: Vec<(MemoryId, f32)> = Vec::new();
        for mut hit in std::mem::take(&mut answer.hits) {
            hit.superseded_by = self.versions.superseded_by(hit.memory.id);
            if hit.superseded_by.is_some() {
                for id in self.versions.current_for(hit.memory.id) {
                    match current.iter_mut().find(|(known, _)| *known == id) {
                        Some((_, score)) => *score = score.max(hit.score),
                        None => current.push((id, hit.score)),
                    }
                }
                hit.score *= SUPERSEDED_FACTOR;
            }
            if hit.superseded_by.is_none() || !request.latest_only {
                hits.push(hit);
            }
        }
        for (id, score) in current {
            if let Some(hit) = hits.iter_mut().find(|hit| hit.memory.id == id) {
                hit.score = hit.score.max(score);
            } else if let Some(memory) = self.visible.remove(&id) {
                hits.push(SearchHit::new(memory, score, None));
            }
        }
        for hit in &mut hits {
            hit.supersedes = self.versions.replaced_by(hit.memory.id);
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        answer.hits = hits;
    }
}
