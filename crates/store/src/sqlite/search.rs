//! Exact search over one scope in memory: cosines of all vectors, BM25 over inverted lists.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use simsimd::SpatialSimilarity;

use super::encode::date_of_day;
use super::index::{Posting, ScopeIndex, inverse_norm};
use crate::{Bm25, Candidate, CandidateQuery, Candidates, ScopeStats, Scored, Sparse};

/// Which rows of an index a read concerns.
pub(super) struct Rows {
    /// In the pinned scope and not expired: what statistics count.
    pub(super) in_scope: Vec<bool>,
    /// Those of them that the rest of the filter lets through; `None`: all.
    pub(super) allowed: Option<Vec<bool>>,
    /// Whether `in_scope` is true throughout: the common case, spared a look at each row.
    pub(super) whole: bool,
}

impl Rows {
    fn allowed(&self) -> &[bool] {
        self.allowed.as_deref().unwrap_or(&self.in_scope)
    }

    fn count(&self) -> usize {
        if self.whole {
            return self.in_scope.len();
        }
        self.in_scope.iter().filter(|&&inside| inside).count()
    }
}

pub(super) fn stats(index: &ScopeIndex, rows: &Rows, terms: &[u32]) -> ScopeStats {
    let holding = |term: &u32| {
        let list = index.postings.get(term).map_or(&[][..], Vec::as_slice);
        // Terms of the context alone do not count; a posting of neither names the speaker.
        let held = |posting: &&Posting| {
            rows.in_scope[posting.row as usize] && (posting.in_text > 0 || posting.in_context == 0)
        };
        list.iter().filter(held).count()
    };
    let mut heard = vec![rows.whole; index.actors.len()];
    if !rows.whole {
        for (row, _) in index.rows.iter().zip(&rows.in_scope).filter(|(_, inside)| **inside) {
            if let Some(actor) = row.actor {
                heard[actor as usize] = true;
            }
        }
    }
    ScopeStats {
        memories: rows.count(),
        document_frequency: terms.iter().map(holding).collect(),
        actors: index.actors.iter().zip(heard).filter(|(_, heard)| *heard).map(|(name, _)| name.clone()).collect(),
    }
}

pub(super) fn candidates(index: &ScopeIndex, rows: &Rows, query: &CandidateQuery<'_>) -> Candidates {
    let allowed = rows.allowed();
    let dense = cosines(index, allowed, query.vector);
    let lexical = Lexical::score(index, rows, query.terms, &query.bm25);
    let mut chosen: Vec<u32> = best(&dense, allowed, query.per_signal).into_iter().map(|hit| hit.row).collect();
    for field in [&lexical.text, &lexical.context] {
        let hits = best(&field.sums, allowed, query.per_signal);
        chosen.extend(hits.into_iter().filter(|hit| hit.score > 0.0).map(|hit| hit.row));
    }
    chosen.sort_unstable();
    chosen.dedup();

    let mut sessions = HashMap::new();
    for &row in &chosen {
        let session = index.rows[row as usize].session;
        if session != 0 && !sessions.contains_key(&session) {
            let members = index.sessions.get(&session).map_or(&[][..], Vec::as_slice);
            let near = members
                .iter()
                .map(|&member| member as usize)
                .filter(|&member| allowed[member])
                .map(|member| dense[member] + query.text_share * lexical.text.normed(member));
            sessions.insert(session, mean_of_best(near, query.per_session));
        }
    }
    let hits = chosen.into_iter().map(|row| {
        let at = row as usize;
        let [before, after] = index.neighbours(row).map(|neighbour| match neighbour {
            Some(neighbour) if allowed[neighbour as usize] => lexical.text.normed(neighbour as usize),
            _ => 0.0,
        });
        let row = &index.rows[at];
        Candidate {
            id: row.id,
            dense: dense[at],
            text_sum: lexical.text.sums[at],
            text: lexical.text.normed(at),
            context: lexical.context.normed(at),
            before,
            after,
            session: row.session,
            actor: row.actor.map(|actor| index.actors[actor as usize].clone()),
            role: row.role,
            day: row.day.and_then(date_of_day),
            holds_time_word: row.holds_time_word,
        }
    });
    let hits = hits.collect();
    let (seen, in_session) = if rows.whole && rows.allowed.is_none() {
        (index.rows.len(), index.sessions.values().map(Vec::len).sum())
    } else {
        let visible = || index.rows.iter().zip(allowed).filter(|(_, allowed)| **allowed);
        (visible().count(), visible().filter(|(row, _)| row.session != 0).count())
    };
    Candidates { hits, sessions, seen, in_session }
}

pub(super) fn nearest(index: &ScopeIndex, rows: &Rows, vector: &[f32], limit: usize) -> Scored {
    let allowed = rows.allowed();
    let scores = cosines(index, allowed, vector);
    best(&scores, allowed, limit).into_iter().map(|hit| (index.rows[hit.row as usize].id, hit.score)).collect()
}

/// Σ query·document·idf over the stored `bm25` slots.
pub(super) fn sparse(
    index: &ScopeIndex,
    rows: &Rows,
    query: &Sparse,
    idf: impl Fn(u32) -> f32,
    limit: usize,
) -> Scored {
    let allowed = rows.allowed();
    let mut scores = vec![0f32; index.rows.len()];
    for &(term, weight) in query {
        let list = index.bm25.as_ref().and_then(|lists| lists.get(&term));
        let weight = weight * idf(term);
        for &(row, value) in list.into_iter().flatten() {
            scores[row as usize] += weight * value;
        }
    }
    best(&scores, allowed, limit)
        .into_iter()
        .filter(|hit| hit.score > 0.0)
        .map(|hit| (index.rows[hit.row as usize].id, hit.score))
        .collect()
}

/// Cosine of every allowed row; 0 elsewhere.
fn cosines(index: &ScopeIndex, allowed: &[bool], vector: &[f32]) -> Vec<f32> {
    let scale = inverse_norm(vector);
    let rows = index.vectors.chunks_exact(index.dims.max(1));
    let cosine = |((row, inverse), allowed): ((&[f32], &f32), &bool)| match allowed {
        true => dot(row, vector) * inverse * scale,
        false => 0.0,
    };
    rows.zip(&index.inverse_norms).zip(allowed).map(cosine).collect()
}

/// The dot product of two vectors of the same length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    <f32 as SpatialSimilarity>::dot(a, b).unwrap_or(0.0) as f32
}

/// BM25 of one field over all rows.
struct Field {
    sums: Vec<f32>,
    /// 1 / sqrt(norm · Σ idf of the question's terms).
    scale: f32,
}

impl Field {
    fn normed(&self, row: usize) -> f32 {
        self.sums[row] * self.scale
    }
}

struct Lexical {
    text: Field,
    context: Field,
}

impl Lexical {
    /// score = Σ idf·tf with tf = f·(k + 1) / (f + k·(1 − b + b·len / avg_len)) and
    /// idf = ln(1 + (N − n + ½) / (n + ½)), N and n over the scope, for text and for text with context.
    fn score(index: &ScopeIndex, rows: &Rows, terms: &[u32], bm25: &Bm25) -> Self {
        let memories = rows.count() as f32;
        let mut sums = [vec![0f32; index.rows.len()], vec![0f32; index.rows.len()]];
        let mut idf_sums = [0f32; 2];
        let tf = |count: u16, len: u32| {
            let count = f32::from(count);
            count * (bm25.k + 1.0) / (count + bm25.k * (1.0 - bm25.b + bm25.b * len as f32 / bm25.avg_len))
        };
        let [text, context] = &mut sums;
        for term in terms {
            let list = index.postings.get(term).map_or(&[][..], Vec::as_slice);
            let mut holding = [0usize; 2];
            for posting in list.iter().filter(|posting| rows.in_scope[posting.row as usize]) {
                holding[0] += usize::from(posting.in_text > 0);
                holding[1] += usize::from(posting.in_context > 0);
            }
            let idf = holding.map(|n| (1.0 + (memories - n as f32 + 0.5) / (n as f32 + 0.5)).ln());
            idf_sums[0] += idf[0];
            idf_sums[1] += idf[1];
            for posting in list {
                let at = posting.row as usize;
                if !rows.in_scope[at] {
                    continue;
                }
                let [text_len, context_len] = index.lengths[at];
                if posting.in_text > 0 {
                    text[at] += idf[0] * tf(posting.in_text, text_len);
                }
                if posting.in_context > 0 {
                    context[at] += idf[1] * tf(posting.in_context, context_len);
                }
            }
        }
        let [text, context] = sums;
        let scale = |sum: f32| (bm25.norm * sum).max(1e-9).sqrt().recip();
        Self {
            text: Field { sums: text, scale: scale(idf_sums[0]) },
            context: Field { sums: context, scale: scale(idf_sums[1]) },
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Hit {
    score: f32,
    row: u32,
}

impl Eq for Hit {}

/// The worst hit is the greatest: a heap of hits has it on top. Of equals the newer is worse.
impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best allowed rows, best first.
fn best(scores: &[f32], allowed: &[bool], limit: usize) -> Vec<Hit> {
    let mut heap: BinaryHeap<Hit> = BinaryHeap::with_capacity(limit.min(scores.len()) + 1);
    for (row, (&score, &allowed)) in scores.iter().zip(allowed).enumerate() {
        if !allowed {
            continue;
        }
        let hit = Hit { score, row: row as u32 };
        if heap.len() < limit {
            heap.push(hit);
        } else if heap.peek().is_some_and(|worst| hit < *worst) {
            heap.pop();
            heap.push(hit);
        }
    }
    heap.into_sorted_vec()
}

fn mean_of_best(values: impl Iterator<Item = f32>, count: usize) -> f32 {
    let mut best: Vec<f32> = Vec::with_capacity(count + 1);
    for value in values {
        let place = best.partition_point(|&other| other >= value);
        if place < count {
            best.insert(place, value);
            best.truncate(count);
        }
    }
    if best.is_empty() { 0.0 } else { best.iter().sum::<f32>() / best.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_the_older_of_equals_wins() {
        let scores = [0.1, 0.9, 0.5, 0.9, -1.0];
        let rows =
            |limit| best(&scores, &[true, true, true, true, false], limit).iter().map(|h| h.row).collect::<Vec<_>>();
        assert_eq!(rows(3), [1, 3, 2]);
        assert_eq!(rows(0), Vec::<u32>::new());
        assert_eq!(rows(9), [1, 3, 2, 0]);
    }

    #[test]
    fn means_take_what_is_there() {
        assert_eq!(mean_of_best([1.0, 5.0, 3.0, 4.0].into_iter(), 3), 4.0);
        assert_eq!(mean_of_best([2.0].into_iter(), 3), 2.0);
        assert_eq!(mean_of_best([].into_iter(), 3), 0.0);
    }
}
