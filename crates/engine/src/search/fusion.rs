//! The default ranking: every signal weighed into one sum.

use std::cmp::Ordering;

use mnemon_store::{Bm25, Candidate, CandidateQuery, Role, View};
use mnemon_text::dates;

use super::query::{Question, names};
use super::{Explanation, Ranked, Ranking, SearchRequest, Signal, THRESHOLD};
use crate::{Engine, Result};

/// Weights and constants of the default ranking; ARCHITECTURE.md tells what each is for.
#[derive(Clone, Debug, PartialEq)]
pub struct FusionWeights {
    /// BM25 for both fields.
    pub bm25: Bm25,
    /// Best hits taken of each of dense, text and context.
    pub candidates: usize,
    /// Best memories of a session that speak for it.
    pub session_best: usize,
    /// What text weighs beside dense in a session's best.
    pub session_text: f32,
    /// For memories with order.
    pub ordered: Weights,
    /// For memories without.
    pub facts: Weights,
}

/// What each signal weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    /// Cosine of question and memory.
    pub dense: f32,
    /// BM25 of the memory's text, normed.
    pub text: f32,
    /// BM25 of the memory's text as a plain sum.
    pub text_sum: f32,
    /// BM25 of text and context, normed.
    pub context: f32,
    /// BM25 of the memory just before it in the session.
    pub before: f32,
    /// BM25 of the memory just after it.
    pub after: f32,
    /// The author is who the question is about.
    pub actor: f32,
    /// How well the best of the session fit.
    pub session: f32,
    /// The question's date is the memory's.
    pub date: f32,
    /// The question asks when, and the memory says it.
    pub when: f32,
}

impl Default for FusionWeights {
    fn default() -> Self {
        Self {
            bm25: Bm25 { k: 1.2, b: 0.75, avg_len: 64.0, norm: 60.0 },
            candidates: 300,
            session_best: 3,
            session_text: 0.5,
            ordered: Weights {
                dense: 1.0,
                text: 0.25,
                context: 1.0,
                before: 0.1,
                after: 0.2,
                actor: 0.4,
                session: 0.8,
                date: 0.4,
                when: 0.2,
                ..Weights::default()
            },
            facts: Weights { dense: 1.0, text_sum: 0.022, actor: 0.3, date: 0.3, when: 0.1, ..Weights::default() },
        }
    }
}

impl Engine {
    pub(super) fn rank_by_fusion(&self, request: &SearchRequest, view: &View<'_>) -> Result<(Vec<Ranked>, Ranking)> {
        let config = &self.config.fusion;
        let names = names(&request.query);
        let terms: Vec<u32> = names.iter().map(|(_, term)| *term).collect();
        let stats = self.store.scope_stats(view, &terms)?;
        let question = Question::new(&request.query, &names, &stats);
        let vector = self.embed(&[&question.stripped])?.pop().unwrap_or_default();
        let mut terms = mnemon_text::index_terms(&question.stripped);
        terms.sort_unstable();
        terms.dedup();
        let found = self.store.candidates(
            view,
            &CandidateQuery {
                vector: &vector,
                terms: &terms,
                bm25: config.bm25,
                per_signal: config.candidates.max(request.top_k),
                per_session: config.session_best,
                text_share: config.session_text,
            },
        )?;
        let (weights, ranking) = if 2 * found.in_session >= found.in_scope {
            (&config.ordered, Ranking::Fusion)
        } else {
            (&config.facts, Ranking::Facts)
        };
        let mut ranked: Vec<(f32, Ranked)> = Vec::with_capacity(found.hits.len());
        for candidate in &found.hits {
            let session = found.sessions.get(&candidate.session).copied();
            // A memory of no session is a session of its own.
            let session = session.unwrap_or(candidate.dense + config.session_text * candidate.text);
            let signals = signals(weights, &question, candidate, session);
            let raw: f32 = signals.iter().map(|signal| signal.weight * signal.value).sum();
            let score = squash(raw);
            let shown = match request.threshold {
                Some(threshold) => score >= threshold,
                None => score >= THRESHOLD || candidate.text_sum > 0.0,
            };
            if !shown {
                continue;
            }
            let explanation = request.explain.then(|| Explanation { raw_score: raw, signals: signals.to_vec() });
            ranked.push((raw, Ranked { id: candidate.id, score, explanation }));
        }
        // Stable: of equals the older stays first, as candidates come.
        ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
        ranked.truncate(request.top_k);
        Ok((ranked.into_iter().map(|(_, hit)| hit).collect(), ranking))
    }
}

/// s / (1 + s): 0 for nothing in common, ½ at a sum of 1, towards 1 beyond. Keeps the order.
fn squash(raw: f32) -> f32 {
    let raw = raw.max(0.0);
    raw / (1.0 + raw)
}

fn signals(weights: &Weights, question: &Question, candidate: &Candidate, session: f32) -> [Signal; 10] {
    let by_the_named = candidate.actor.is_some() && candidate.actor == question.actor;
    let by_the_user = question.of_the_user && candidate.role == Role::User;
    let date = candidate
        .day
        .map_or(0, |day| question.dates.fit(&dates::from_ymd(day.year().into(), day.month() as u8, day.day() as u8)));
    let flag = |holds: bool| f32::from(u8::from(holds));
    [
        Signal { name: "dense", value: candidate.dense, weight: weights.dense },
        Signal { name: "text", value: candidate.text, weight: weights.text },
        Signal { name: "text_sum", value: candidate.text_sum, weight: weights.text_sum },
        Signal { name: "context", value: candidate.context, weight: weights.context },
        Signal { name: "before", value: candidate.before, weight: weights.before },
        Signal { name: "after", value: candidate.after, weight: weights.after },
        Signal { name: "actor", value: flag(by_the_named || by_the_user), weight: weights.actor },
        Signal { name: "session", value: session, weight: weights.session },
        Signal { name: "date", value: f32::from(date), weight: weights.date },
        Signal { name: "when", value: flag(question.asks_when && candidate.holds_time_word), weight: weights.when },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_between_nought_and_one() {
        for (raw, score) in [(-3.0, 0.0), (0.0, 0.0), (1.0, 0.5), (3.0, 0.75)] {
            assert_eq!(squash(raw), score);
        }
        assert!(squash(1e9) <= 1.0);
    }
}
