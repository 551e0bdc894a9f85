//! The `mem0` ranking profile: the formula of mem0 v2.0.2, with equal results. Dense candidates, boosted by BM25 and by
//! shared entities.

use std::collections::HashMap;

use mnemon_store::{Filter, MemoryId, Search, Sparse, SparseQuery, Store};

use super::answer::{Explanation, Ranked, Signal, SignalKind};
use super::question_vectors::QuestionVectors;
use super::request::{DEFAULT_THRESHOLD, SearchRequest};
use crate::analyse::sparse_vector;
use crate::config::Mem0Config;
use crate::engine::Engine;
use crate::error::Result;

/// A question in the form that mem0's formula needs.
#[derive(Clone, Debug, Default)]
pub struct Mem0Query {
    /// Its embedding.
    pub vector: Vec<f32>,
    /// Its encoded lemmas.
    pub sparse: Sparse,
    /// The number of its lemmas, which selects the sigmoid's parameters.
    pub lemmas: usize,
    /// Embeddings of its entities.
    pub entities: Vec<Vec<f32>>,
}

/// A hit with the components of its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mem0Score {
    /// The memory.
    pub id: MemoryId,
    /// Cosine.
    pub semantic: f32,
    /// BM25 after the sigmoid, 0 ..= 1.
    pub bm25: f32,
    /// The boost from shared entities, 0 ..= 0.5.
    pub entity_boost: f32,
    /// The divisor of the sum: 1, 1.5, 2 or 2.5.
    pub max_possible: f32,
    /// min(sum / max_possible, 1).
    pub score: f32,
}

/// Ranks the candidates of a search.
pub(super) fn rank(
    engine: &Engine,
    request: &SearchRequest,
    reads: &dyn Search,
    embedded: &QuestionVectors<'_>,
) -> Result<Vec<Ranked>> {
    let config = &engine.config.mem0;
    let lemmas = mnemon_text::lemma::lemmatize(&request.query);
    let entities = mnemon_text::entity::extract(&request.query);
    let mut texts = vec![request.query.as_str()];
    texts.extend(entities.iter().map(|entity| entity.text.as_str()).take(config.query_entities));
    let mut vectors = embedded.of(&texts)?.into_iter();
    let query = Mem0Query {
        vector: vectors.next().unwrap_or_default(),
        sparse: sparse_vector(&lemmas, &request.query),
        lemmas: lemmas.split_whitespace().count(),
        entities: vectors.collect(),
    };
    let default = if request.ids.is_some() { f32::NEG_INFINITY } else { DEFAULT_THRESHOLD };
    let threshold = request.threshold.unwrap_or(default);
    let scored = scores(engine.store(), reads, config, &request.filter, &query, request.top_k, threshold)?;
    let ranked = scored.into_iter().map(|hit| Ranked {
        id: hit.id,
        score: hit.score.max(0.0),
        explanation: request.explain.then(|| explanation(&hit)),
    });
    Ok(ranked.collect())
}

fn explanation(hit: &Mem0Score) -> Explanation {
    let signals = vec![
        Signal { kind: SignalKind::Semantic, value: hit.semantic, weight: hit.max_possible.recip() },
        Signal { kind: SignalKind::Bm25, value: hit.bm25, weight: hit.max_possible.recip() },
        Signal { kind: SignalKind::EntityBoost, value: hit.entity_boost, weight: hit.max_possible.recip() },
    ];
    Explanation { raw_score: hit.semantic + hit.bm25 + hit.entity_boost, signals }
}

/// mem0's scores, best first; see [`Engine::mem0_scores`].
pub(super) fn scores(
    store: &dyn Store,
    reads: &dyn Search,
    config: &Mem0Config,
    filter: &Filter,
    query: &Mem0Query,
    top_k: usize,
    threshold: f32,
) -> Result<Vec<Mem0Score>> {
    let limit = (config.overfetch * top_k).max(config.least);
    let dense = reads.nearest(&query.vector, limit)?;
    let sparse = reads.sparse(&SparseQuery { vector: &query.sparse, limit })?;
    let bm25: HashMap<MemoryId, f32> = sparse.into_iter().map(|(id, raw)| (id, sigmoid(raw, query.lemmas))).collect();
    let boosts = entity_boosts(store, config, filter, &query.entities)?;

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

/// The best boost of each memory: cosine · 0.5 / (1 + 0.001 · (links − 1)²) over the question's entities, where links is
/// the number of memories that mention the entity.
fn entity_boosts(
    store: &dyn Store,
    config: &Mem0Config,
    filter: &Filter,
    entities: &[Vec<f32>],
) -> Result<HashMap<MemoryId, f32>> {
    let mut boosts: HashMap<MemoryId, f32> = HashMap::new();
    if entities.is_empty() {
        return Ok(boosts);
    }
    let near = store.near_entities(filter, entities, config.near_entities, config.entity_cosine)?;
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

/// 1 / (1 + e^(−s · (raw − m))), where m and s depend on the number of the question's lemmas.
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
