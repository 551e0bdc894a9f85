//! The `fusion` ranking profile: the weighted sum of all signals.

use std::cmp::Ordering;

use mnemon_models::Embedder;
use mnemon_store::{Candidate, CandidateQuery, Search};
use mnemon_text::analysis::Language;
use mnemon_text::dates;

use super::answer::{Explanation, Ranked, Ranking, Signal, SignalKind};
use super::query::{Question, names};
use super::question_vectors::QuestionVectors;
use super::request::{DEFAULT_THRESHOLD, SearchRequest};
use super::terms::question_terms;
use crate::config::Weights;
use crate::engine::Engine;
use crate::error::Result;

/// Ranks the candidates of a search.
pub(super) fn rank(
    engine: &Engine,
    request: &SearchRequest,
    reads: &dyn Search,
    embedded: &QuestionVectors<'_>,
) -> Result<(Vec<Ranked>, Ranking)> {
    let config = &engine.config.fusion;
    let names = names(&request.query);
    let asked = names.iter().map(|(_, term)| *term).chain(Language::all().map(Language::marker));
    let stats = reads.scope_stats(&asked.collect::<Vec<_>>())?;
    let question = Question::new(&request.query, &names, &stats);
    let marked = Language::all().zip(&stats.document_frequency[names.len()..]);
    let languages: Vec<Language> =
        marked.filter(|(_, memories)| **memories > 0).map(|(language, _)| language).collect();
    let terms = question_terms(&question.stripped, &languages, reads)?;
    let vector = embedded.of(&[&question.stripped])?.pop().unwrap_or_default();
    let doubt = doubt(&*engine.embedder, &question.stripped);
    let (dense_share, text_share) = (1.0 - DENSE_LOSS * doubt, config.session_text + SESSION_TEXT_GAIN * doubt);
    let found = reads.candidates(&CandidateQuery {
        vector: &vector,
        terms: &terms,
        bm25: config.bm25,
        per_signal: config.candidates.max(request.top_k),
        per_session: config.session_best,
        dense_share,
        text_share,
    })?;
    let (weights, ranking) = if 2 * found.in_session >= found.in_scope {
        (&config.ordered, Ranking::Fusion)
    } else {
        (&config.facts, Ranking::Facts)
    };
    let weights = &for_doubt(weights, doubt);
    let mut ranked: Vec<(f32, Ranked)> = Vec::with_capacity(found.hits.len());
    for candidate in &found.hits {
        let session = found.sessions.get(&candidate.session).copied();
        // A memory without a session counts as a session of one memory.
        let session = session.unwrap_or(dense_share * candidate.dense + text_share * candidate.text);
        let signals = signals(weights, &question, candidate, session);
        let raw: f32 = signals.iter().map(|signal| signal.weight * signal.value).sum();
        let score = squash(raw);
        let shown = match request.threshold {
            Some(threshold) => score >= threshold,
            None => score >= DEFAULT_THRESHOLD || candidate.text_sum > 0.0 || request.ids.is_some(),
        };
        if !shown {
            continue;
        }
        let explanation = request.explain.then(|| Explanation { raw_score: raw, signals: signals.to_vec() });
        ranked.push((raw, Ranked { id: candidate.id, score, explanation }));
    }
    // The sort is stable: candidates come oldest first, so of two with equal scores the older one stays first.
    ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
    ranked.truncate(request.top_k);
    Ok((ranked.into_iter().map(|(_, hit)| hit).collect(), ranking))
}

/// How much of its weight `dense` loses if the embedder knows none of the question's words.
const DENSE_LOSS: f32 = 0.8;
/// Added to the weights of `text`, `text_sum` and the text within `session` then.
const TEXT_GAIN: f32 = 1.25;
const TEXT_SUM_GAIN: f32 = 0.1;
const SESSION_TEXT_GAIN: f32 = 1.0;
/// Of the words of an English question some are rare names, which the embedder does not know: up to this share is normal.
const NORMAL_UNKNOWN: f32 = 0.4;

/// How little the embedder's vectors say about a question: 0 if it knows its words and its language, 1 if it knows none.
fn doubt(embedder: &dyn Embedder, question: &str) -> f32 {
    if embedder.is_english_only() && Language::of(question).is_some() {
        return 1.0;
    }
    let unknown = 1.0 - embedder.known_share(question);
    ((unknown - NORMAL_UNKNOWN) / (1.0 - NORMAL_UNKNOWN)).clamp(0.0, 1.0)
}

/// The weights for a question of which the embedder knows little: exact words count more, closeness less.
fn for_doubt(weights: &Weights, doubt: f32) -> Weights {
    let mut weights = *weights;
    weights.dense *= 1.0 - DENSE_LOSS * doubt;
    for (weight, gain) in [(&mut weights.text, TEXT_GAIN), (&mut weights.text_sum, TEXT_SUM_GAIN)] {
        if *weight > 0.0 {
            *weight += gain * doubt;
        }
    }
    weights
}

/// s / (1 + s): 0 for a sum of 0, ½ for a sum of 1, towards 1 for large sums. Keeps the order.
fn squash(raw: f32) -> f32 {
    let raw = raw.max(0.0);
    raw / (1.0 + raw)
}

/// The signals of a candidate; `session` is the score of its session.
fn signals(weights: &Weights, question: &Question, candidate: &Candidate, session: f32) -> [Signal; 10] {
    let by_named_actor = candidate.actor.is_some() && candidate.actor == question.actor;
    let by_user = question.about_the_user && candidate.by_user;
    let date = candidate
        .day
        .map_or(0, |day| question.dates.fit(&dates::from_ymd(day.year().into(), day.month() as u8, day.day() as u8)));
    let flag = |set: bool| f32::from(u8::from(set));
    [
        Signal { kind: SignalKind::Dense, value: candidate.dense, weight: weights.dense },
        Signal { kind: SignalKind::Text, value: candidate.text, weight: weights.text },
        Signal { kind: SignalKind::TextSum, value: candidate.text_sum, weight: weights.text_sum },
        Signal { kind: SignalKind::Context, value: candidate.context, weight: weights.context },
        Signal { kind: SignalKind::Before, value: candidate.before, weight: weights.before },
        Signal { kind: SignalKind::After, value: candidate.after, weight: weights.after },
        Signal { kind: SignalKind::Actor, value: flag(by_named_actor || by_user), weight: weights.actor },
        Signal { kind: SignalKind::Session, value: session, weight: weights.session },
        Signal { kind: SignalKind::Date, value: f32::from(date), weight: weights.date },
        Signal {
            kind: SignalKind::When,
            value: flag(question.asks_when && candidate.holds_time_word),
            weight: weights.when,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_between_zero_and_one() {
        for (raw, score) in [(-3.0, 0.0), (0.0, 0.0), (1.0, 0.5), (3.0, 0.75)] {
            assert_eq!(squash(raw), score);
        }
        assert!(squash(1e9) <= 1.0);
    }
}
