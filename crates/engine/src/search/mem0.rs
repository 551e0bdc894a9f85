//! The ranking of mem0 v2.0.2, to the digit: dense candidates, lifted by BM25 and by shared entities.

use std::collections::HashMap;

use mnemon_store::{MemoryId, Sparse, SparseQuery, View};

use super::{Explanation, Ranked, SearchRequest, Signal, THRESHOLD};
use crate::analyse::sparse;
use crate::{Engine, Result};

/// Constants of the formula.
#[derive(Clone, Debug, PartialEq)]
pub struct Mem0Config {
    /// Dense and sparse hits: this many times top_k …
    pub overfetch: usize,
    /// … but no fewer than this.
    pub least: usize,
    /// Entities of the question that count.
    pub query_entities: usize,
    /// Stored entities taken for each.
    pub near_entities: usize,
    /// Cosine from which a stored entity is the question's.
    pub entity_cosine: f32,
    /// What a shared entity adds at most.
    pub entity_weight: f32,
    /// How fast an entity loses weight with its number of memories.
    pub crowding: f32,
}

impl Default for Mem0Config {
    fn default() -> Self {
        Self {
            overfetch: 4,
            least: 60,
            query_entities: 8,
            near_entities: 500,
            entity_cosine: 0.5,
            entity_weight: 0.5,
            crowding: 0.001,
        }
    }
}

/// A question as mem0 sees it.
#[derive(Clone, Debug, Default)]
pub struct Mem0Query {
    /// Its embedding.
    pub vector: Vec<f32>,
    /// Its encoded lemmas.
    pub sparse: Sparse,
    /// The number of its lemmas: chooses the sigmoid.
    pub lemmas: usize,
    /// Embeddings of its entities.
    pub entities: Vec<Vec<f32>>,
}

/// A hit with the parts of its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mem0Score {
    /// The memory.
    pub id: MemoryId,
    /// Cosine.
    pub semantic: f32,
    /// BM25 after the sigmoid, 0 ..= 1.
    pub bm25: f32,
    /// What shared entities add, 0 ..= 0.5.
    pub entity_boost: f32,
    /// What the sum is divided by: 1, 1.5, 2 or 2.5.
    pub max_possible: f32,
    /// min(sum / max_possible, 1).
    pub score: f32,
}

impl Engine {
    pub(super) fn rank_as_mem0(&self, request: &SearchRequest, view: &View<'_>) -> Result<Vec<Ranked>> {
        let lemmas = mnemon_text::lemma::lemmatize(&request.query);
        let entities = mnemon_text::entity::extract(&request.query);
        let mut texts = vec![request.query.as_str()];
        texts.extend(entities.iter().map(|entity| entity.text.as_str()).take(self.config.mem0.query_entities));
        let mut vectors = self.embed(&texts)?.into_iter();
        let query = Mem0Query {
            vector: vectors.next().unwrap_or_default(),
            sparse: sparse(&lemmas, &request.query),
            lemmas: lemmas.split_whitespace().count(),
            entities: vectors.collect(),
        };
        let scored = self.mem0_scores(view, &query, request.top_k, request.threshold.unwrap_or(THRESHOLD))?;
        let ranked = scored.into_iter().map(|hit| {
            let explanation = || {
                let signals = vec![
                    Signal { name: "semantic", value: hit.semantic, weight: hit.max_possible.recip() },
                    Signal { name: "bm25", value: hit.bm25, weight: hit.max_possible.recip() },
                    Signal { name: "entity_boost", value: hit.entity_boost, weight: hit.max_possible.recip() },
                ];
                Explanation { raw_score: hit.semantic + hit.bm25 + hit.entity_boost, signals }
            };
            Ranked { id: hit.id, score: hit.score.max(0.0), explanation: request.explain.then(explanation) }
        });
        Ok(ranked.collect())
    }

    /// mem0 v2.0.2's scores, best first. Candidates are the dense hits with a cosine of at least `threshold`; the score
    /// is min((cosine + bm25 + boost) / max, 1), max = 1, + 1 if any hit has BM25, + ½ if any has a boost.
    ///
    /// # Errors
    /// Only if the store fails.
    pub fn mem0_scores(
        &self,
        view: &View<'_>,
        query: &Mem0Query,
        top_k: usize,
        threshold: f32,
    ) -> Result<Vec<Mem0Score>> {
        let config = &self.config.mem0;
        let limit = (config.overfetch * top_k).max(config.least);
        let dense = self.store.nearest(view, &query.vector, limit)?;
        let sparse = self.store.sparse(view, &SparseQuery { vector: &query.sparse, limit })?;
        let bm25: HashMap<MemoryId, f32> =
            sparse.into_iter().map(|(id, raw)| (id, sigmoid(raw, query.lemmas))).collect();
        let boosts = self.entity_boosts(view, &query.entities)?;

        let max_possible = 1.0 + if bm25.is_empty() { 0.0 } else { 1.0 } + if boosts.is_empty() { 0.0 } else { 0.5 };
        let mut scored: Vec<Mem0Score> = dense
            .into_iter()
            .filter(|(_, semantic)| *semantic >= threshold)
            .map(|(id, semantic)| {
                let bm25 = bm25.get(&id).copied().unwrap_or(0.0);
                let entity_boost = boosts.get(&id).copied().unwrap_or(0.0);
                let score = ((semantic + bm25 + entity_boost) / max_possible).min(1.0);
                Mem0Score { id, semantic, bm25, entity_boost, max_possible, score }
            })
            .collect();
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        scored.truncate(top_k);
        Ok(scored)
    }

    /// Each memory's best boost: cosine · 0.5 / (1 + 0.001 · (links − 1)²) over the question's entities.
    fn entity_boosts(&self, view: &View<'_>, entities: &[Vec<f32>]) -> Result<HashMap<MemoryId, f32>> {
        let config = &self.config.mem0;
        let mut boosts: HashMap<MemoryId, f32> = HashMap::new();
        if entities.is_empty() {
            return Ok(boosts);
        }
        let near = self.store.near_entities(view.filter, entities, config.near_entities, config.entity_cosine)?;
        for entity in near.into_iter().flatten() {
            let others = entity.memories.len().saturating_sub(1) as f32;
            let boost = entity.score * config.entity_weight / (1.0 + config.crowding * others * others);
            for id in entity.memories {
                let best = boosts.entry(id).or_default();
                *best = best.max(boost);
            }
        }
        Ok(boosts)
    }
}

/// 1 / (1 + e^(−s · (raw − m))) with (m, s) by the number of the question's lemmas.
fn sigmoid(raw: f32, lemmas: usize) -> f32 {
    let (middle, steepness) = match lemmas {
        0..=3 => (5.0, 0.7),
        4..=6 => (7.0, 0.6),
        7..=9 => (9.0, 0.5),
        10..=15 => (10.0, 0.5),
        _ => (12.0, 0.5),
    };
    1.0 / (1.0 + (-steepness * (raw - middle)).exp())
}
