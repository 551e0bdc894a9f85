//! Exact search in the index of one scope: cosines of all vectors, BM25 with inverted lists.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use jiff::civil::Date;
use rayon::prelude::*;
use simsimd::SpatialSimilarity;

use super::encode::{date_of_day, day_number};
use super::index::{Posting, Row, ScopeIndex, inverse_norm};
use crate::{Bm25, Candidate, CandidateQuery, Candidates, MemoryId, Result, ScopeStats, Scored, Sparse};

/// The rows of an index that a read may return.
pub(crate) struct Rows<'v> {
    /// Whether each row is in the pinned scope and not expired. Statistics count these rows.
    in_scope: Vec<bool>,
    /// Whether `in_scope` is true for all rows, which is the common case and needs no check of each row.
    whole: bool,
    /// Whether each row is in scope and has one of the ids of the view; `None` if the view names no ids.
    named: Option<Vec<bool>>,
    /// The conditions of the filter besides the scope.
    conditions: Option<Conditions<'v>>,
}

/// Evaluates the conditions of a filter besides the scope on a row.
pub(crate) type Decide<'v> = Box<dyn Fn(&Row) -> Result<bool> + 'v>;

/// Conditions on payloads, which are in the store. They are evaluated once for each row, when the row is first needed.
struct Conditions<'v> {
    decide: Decide<'v>,
    results: RefCell<Vec<Option<bool>>>,
}

impl<'v> Rows<'v> {
    /// `ids`: the scope ids that the filter pins, by kind; the index belongs to one of them. `today`: rows that expired
    /// before this day are hidden. `decide`: called at most once for each row, and only for rows in the scope.
    pub(crate) fn of(
        index: &ScopeIndex,
        ids: &[Option<i64>; 3],
        today: Option<Date>,
        decide: Option<Decide<'v>>,
    ) -> Self {
        let today = today.map_or(i32::MIN, day_number);
        let wanted = ids.map(|id| id.map(|id| id as u32));
        let inside = |row: &Row| {
            row.alive
                && row.expires >= today
                && wanted.iter().zip(row.scopes).all(|(id, own)| id.is_none_or(|id| id == own))
        };
        // Only a second pinned id can exclude rows of the index.
        let whole = index.all_shown(today) && ids.iter().flatten().count() == 1;
        let in_scope =
            if whole { vec![true; index.rows.len()] } else { index.rows.iter().map(inside).collect::<Vec<_>>() };
        let conditions = decide.map(|decide| Conditions { decide, results: RefCell::new(vec![None; in_scope.len()]) });
        Self { in_scope, whole, named: None, conditions }
    }

    /// Of these rows, only those with one of the ids. Statistics still count all rows in scope.
    pub(crate) fn with_ids(self, index: &ScopeIndex, ids: Option<&[MemoryId]>) -> Self {
        let Some(ids) = ids else { return self };
        let ids: HashSet<&MemoryId> = ids.iter().collect();
        let named = index.rows.iter().zip(&self.in_scope).map(|(row, inside)| *inside && ids.contains(&row.id));
        Self { named: Some(named.collect()), ..self }
    }

    /// The rows that the view can show, before its conditions.
    fn possible(&self) -> &[bool] {
        self.named.as_deref().unwrap_or(&self.in_scope)
    }

    fn count(&self) -> usize {
        if self.whole {
            return self.in_scope.len();
        }
        self.in_scope.iter().filter(|&&inside| inside).count()
    }

    /// Whether the view shows a row.
    fn shows(&self, index: &ScopeIndex, row: u32) -> Result<bool> {
        let at = row as usize;
        let possible = self.possible()[at];
        let Some(conditions) = self.conditions.as_ref().filter(|_| possible) else { return Ok(possible) };
        if let Some(known) = conditions.results.borrow()[at] {
            return Ok(known);
        }
        let shown = (conditions.decide)(&index.rows[at])?;
        conditions.results.borrow_mut()[at] = Some(shown);
        Ok(shown)
    }

    /// The ids of all rows that the view shows, oldest first.
    #[cfg_attr(not(feature = "qdrant"), allow(dead_code, reason = "SQLite evaluates each row"))]
    pub(crate) fn ids(&self, index: &ScopeIndex) -> Result<Vec<MemoryId>> {
        let mut ids = Vec::new();
        for (number, row) in index.living() {
            if self.shows(index, number)? {
                ids.push(row.id);
            }
        }
        Ok(ids)
    }

    /// The best rows that the view shows with a score above `floor`, best first.
    fn best(&self, index: &ScopeIndex, scores: &[f32], limit: usize, floor: f32) -> Result<Vec<Hit>> {
        let mut count = if self.conditions.is_some() { limit.saturating_mul(4) } else { limit };
        loop {
            let hits = best(scores, self.possible(), count, floor);
            let all = hits.len() < count;
            let mut shown = Vec::with_capacity(limit.min(hits.len()));
            for hit in hits {
                if shown.len() < limit && self.shows(index, hit.row)? {
                    shown.push(hit);
                }
            }
            if all || self.conditions.is_none() || shown.len() >= limit {
                return Ok(shown);
            }
            // Few rows match the filter: more candidates are needed.
            count = count.saturating_mul(8);
        }
    }
}

/// Statistics over the rows in scope.
pub(crate) fn stats(index: &ScopeIndex, rows: &Rows<'_>, terms: &[u32]) -> ScopeStats {
    let rows_with = |term: &u32| {
        let list = index.postings.get(term).map_or(&[][..], Vec::as_slice);
        // Terms that are only in the context do not count. A posting with both counts 0 is in the name of the speaker.
        let counts = |posting: &&Posting| {
            rows.in_scope[posting.row as usize] && (posting.in_text > 0 || posting.in_context == 0)
        };
        list.iter().filter(counts).count()
    };
    let mut in_scope = vec![rows.whole; index.actors.len()];
    if !rows.whole {
        for (row, _) in index.rows.iter().zip(&rows.in_scope).filter(|(_, inside)| **inside) {
            if let Some(actor) = row.actor {
                in_scope[actor as usize] = true;
            }
        }
    }
    ScopeStats {
        memories: rows.count(),
        document_frequency: terms.iter().map(rows_with).collect(),
        actors: index.actors.iter().zip(in_scope).filter(|(_, is)| *is).map(|(name, _)| name.clone()).collect(),
    }
}

/// Candidates of the default ranking.
pub(crate) fn candidates(index: &ScopeIndex, rows: &Rows<'_>, query: &CandidateQuery<'_>) -> Result<Candidates> {
    let (in_scope, count) = (&rows.in_scope[..], rows.count());
    let dense = || cosines(index, in_scope, query.vector);
    let lexical = || Lexical::score(index, in_scope, count, query.terms, &query.bm25);
    let (dense, lexical) = match index.rows.len() {
        ..=FEW_ROWS => (dense(), lexical()),
        _ => rayon::join(dense, lexical),
    };
    let mut chosen = BTreeSet::new();
    for (scores, floor) in [(&dense, f32::NEG_INFINITY), (&lexical.text.sums, 0.0), (&lexical.context.sums, 0.0)] {
        chosen.extend(rows.best(index, scores, query.per_signal, floor)?.into_iter().map(|hit| hit.row));
    }

    let mut sessions = HashMap::new();
    for &row in &chosen {
        let session = index.rows[row as usize].session;
        if session != 0 && !sessions.contains_key(&session) {
            let members = index.sessions.get(&session).map_or(&[][..], Vec::as_slice);
            let near = |member: &u32| {
                let at = *member as usize;
                Hit { score: query.dense_share * dense[at] + query.text_share * lexical.text.normed(at), row: *member }
            };
            let mut near: Vec<Hit> = members.iter().filter(|at| rows.possible()[**at as usize]).map(near).collect();
            // If no condition can exclude some of them, the first ones are enough.
            if rows.conditions.is_none() && (1..near.len()).contains(&query.per_session) {
                near.select_nth_unstable(query.per_session - 1);
                near.truncate(query.per_session);
            }
            near.sort_unstable();
            let mut best = Vec::with_capacity(query.per_session);
            for hit in near {
                if best.len() < query.per_session && rows.shows(index, hit.row)? {
                    best.push(hit.score);
                }
            }
            sessions.insert(session, best.iter().sum::<f32>() / best.len().max(1) as f32);
        }
    }
    let mut hits = Vec::with_capacity(chosen.len());
    for number in chosen {
        let mut neighbour_scores = [0.0; 2];
        for (value, neighbour) in neighbour_scores.iter_mut().zip(index.neighbours(number)) {
            if let Some(neighbour) = neighbour
                && rows.shows(index, neighbour)?
            {
                *value = lexical.text.normed(neighbour as usize);
            }
        }
        let [before, after] = neighbour_scores;
        let at = number as usize;
        let row = &index.rows[at];
        hits.push(Candidate {
            id: row.id,
            dense: dense[at],
            text_sum: lexical.text.sums[at],
            text: lexical.text.normed(at),
            context: lexical.context.normed(at),
            before,
            after,
            session: row.session,
            actor: row.actor.map(|actor| index.actors[actor as usize].clone()),
            by_user: row.by_user,
            day: row.day.and_then(date_of_day),
            holds_time_word: row.holds_time_word,
        });
    }
    let (in_scope, in_session) = if rows.whole {
        (index.rows.len(), index.sessions.values().map(Vec::len).sum())
    } else {
        let inside = || index.rows.iter().zip(&rows.in_scope).filter(|(_, inside)| **inside);
        (inside().count(), inside().filter(|(row, _)| row.session != 0).count())
    };
    Ok(Candidates { hits, sessions, in_scope, in_session })
}

/// The nearest rows by cosine.
pub(crate) fn nearest(index: &ScopeIndex, rows: &Rows<'_>, vector: &[f32], limit: usize) -> Result<Scored> {
    let scores = cosines(index, &rows.in_scope, vector);
    let hits = rows.best(index, &scores, limit, f32::NEG_INFINITY)?;
    Ok(hits.into_iter().map(|hit| (index.rows[hit.row as usize].id, hit.score)).collect())
}

/// Σ query·document·idf over the stored `bm25` vectors.
pub(crate) fn sparse(
    index: &ScopeIndex,
    rows: &Rows<'_>,
    query: &Sparse,
    idf: impl Fn(u32) -> f32,
    limit: usize,
) -> Result<Scored> {
    let mut scores = vec![0f32; index.rows.len()];
    for &(term, weight) in query {
        let list = index.bm25.as_ref().and_then(|lists| lists.get(&term));
        let weight = weight * idf(term);
        for &(row, value) in list.into_iter().flatten() {
            scores[row as usize] += weight * value;
        }
    }
    let hits = rows.best(index, &scores, limit, 0.0)?;
    Ok(hits.into_iter().map(|hit| (index.rows[hit.row as usize].id, hit.score)).collect())
}

/// Up to this number of rows, one thread is faster than several.
const FEW_ROWS: usize = 8192;
/// Rows in one task of a thread. Small tasks let all threads finish at the same time.
const ROWS_PER_TASK: usize = 1024;

/// Cosine of every row in scope; 0 elsewhere.
fn cosines(index: &ScopeIndex, in_scope: &[bool], vector: &[f32]) -> Vec<f32> {
    let scale = inverse_norm(vector);
    let dims = index.dims.max(1);
    let mut cosines = vec![0f32; index.rows.len()];
    let fill = |(part, cosines): (usize, &mut [f32])| {
        let first = part * ROWS_PER_TASK;
        let vectors = index.vectors[first * dims..].chunks_exact(dims);
        for (((cosine, row), inverse), inside) in
            cosines.iter_mut().zip(vectors).zip(&index.inverse_norms[first..]).zip(&in_scope[first..])
        {
            if *inside {
                *cosine = dot(row, vector) * inverse * scale;
            }
        }
    };
    if cosines.len() <= FEW_ROWS {
        fill((0, &mut cosines));
    } else {
        cosines.par_chunks_mut(ROWS_PER_TASK).enumerate().for_each(fill);
    }
    cosines
}

/// The dot product of two vectors of the same length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    <f32 as SpatialSimilarity>::dot(a, b).unwrap_or(0.0) as f32
}

/// BM25 scores of all rows for one field.
struct Field {
    sums: Vec<f32>,
    /// 1 / sqrt(norm · Σ weight·idf of the question's terms).
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
    /// score = Σ weight·idf·tf with tf = f·(k + 1) / (f + k·(1 − b + b·len / avg_len)) and
    /// idf = ln(1 + (N − n + ½) / (n + ½)), N and n over the scope, for text and for text with context.
    fn score(index: &ScopeIndex, in_scope: &[bool], count: usize, terms: &[(u32, f32)], bm25: &Bm25) -> Self {
        let memories = count as f32;
        let mut sums = [vec![0f32; index.rows.len()], vec![0f32; index.rows.len()]];
        let mut idf_sums = [0f32; 2];
        let tf = |count: u16, len: u32| {
            let count = f32::from(count);
            count * (bm25.k + 1.0) / (count + bm25.k * (1.0 - bm25.b + bm25.b * len as f32 / bm25.avg_len))
        };
        let [text, context] = &mut sums;
        for &(term, weight) in terms {
            let list = index.postings.get(&term).map_or(&[][..], Vec::as_slice);
            let mut holding = [0usize; 2];
            for posting in list.iter().filter(|posting| in_scope[posting.row as usize]) {
                holding[0] += usize::from(posting.in_text > 0);
                holding[1] += usize::from(posting.in_context > 0);
            }
            let idf = holding.map(|n| weight * (1.0 + (memories - n as f32 + 0.5) / (n as f32 + 0.5)).ln());
            idf_sums[0] += idf[0];
            idf_sums[1] += idf[1];
            for posting in list {
                let at = posting.row as usize;
                if !in_scope[at] {
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

/// The worst hit is the greatest, so that a heap of hits has it on top. Of two hits with the same score the newer is worse.
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

/// The best allowed rows with a score above `floor`, best first.
fn best(scores: &[f32], allowed: &[bool], limit: usize, floor: f32) -> Vec<Hit> {
    let mut heap: BinaryHeap<Hit> = BinaryHeap::with_capacity(limit.min(scores.len()) + 1);
    for (row, (&score, &allowed)) in scores.iter().zip(allowed).enumerate() {
        if !allowed || score <= floor {
            continue;
        }
        let hit = Hit { score, row: row as u32 };
        if heap.len() < limit {
            heap.push(hit);
        } else if let Some(mut worst) = heap.peek_mut().filter(|worst| hit < **worst) {
            *worst = hit;
        }
    }
    heap.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_sorted_by_score_then_by_age() {
        let scores = [0.1, 0.9, 0.5, 0.9, -1.0];
        let rows = |limit| {
            best(&scores, &[true, true, true, true, false], limit, 0.0).iter().map(|h| h.row).collect::<Vec<_>>()
        };
        assert_eq!(rows(3), [1, 3, 2]);
        assert_eq!(rows(0), Vec::<u32>::new());
        assert_eq!(rows(9), [1, 3, 2, 0]);
    }
}
