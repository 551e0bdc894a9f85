//! Explanations of scores in plain words.

use mnemon_engine::{Explanation, Signal, SignalKind};
use mnemon_store::{Payload, keys};

use crate::output::pluralize;

/// What a signal means.
pub(in crate::commands) fn meaning(signal: SignalKind) -> &'static str {
    match signal {
        SignalKind::Dense | SignalKind::Semantic => "close in meaning",
        SignalKind::Text | SignalKind::Bm25 => "same words",
        SignalKind::TextSum => "same rare words",
        SignalKind::Context => "same words, here or shortly before",
        SignalKind::Before => "the message before has the words",
        SignalKind::After => "the message after has the words",
        SignalKind::Actor => "said by the person in the query",
        SignalKind::Session => "relevant conversation",
        SignalKind::Date => "said on the date in the query",
        SignalKind::When => "mentions a time, as asked",
        SignalKind::EntityBoost => "mentions a name in the query",
    }
}

/// The signals that contribute to the score, and their contributions, largest first.
pub(in crate::commands) fn contributions(explanation: &Explanation) -> Vec<(&Signal, f32)> {
    let mut parts: Vec<(&Signal, f32)> =
        explanation.signals.iter().map(|signal| (signal, signal.value * signal.weight)).collect();
    parts.retain(|(_, share)| share.abs() >= 0.005);
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    parts
}

/// One line per signal: contribution = value × weight, name and meaning.
pub(super) fn table(explanation: &Explanation) -> String {
    let line = |(signal, share): (&Signal, f32)| {
        let Signal { kind, value, weight } = signal;
        let (name, meaning) = (kind.as_str(), meaning(*kind));
        format!("      {share:>6.2} = {value:>5.2} × {weight:<5.3} {name:<12} {meaning}\n")
    };
    contributions(explanation).into_iter().map(line).collect()
}

/// A line for a text that was not embedded as a whole.
pub(super) fn embedded(payload: &Payload) -> String {
    let number = |key| payload.as_map().get(key).and_then(serde_json::Value::as_u64);
    let pieces = match number(keys::VECTOR_PIECES) {
        None => return String::new(),
        Some(0) => "not embedded: only its words are searched".to_owned(),
        Some(pieces) => format!("embedded in {}", pluralize(pieces as usize, "piece", "pieces")),
    };
    let left_out = number(keys::VECTOR_LEFT_OUT).map(|count| format!(", {count} left out")).unwrap_or_default();
    format!("      {pieces}{left_out}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_without_contribution_are_omitted() {
        let signal = |kind, value, weight| Signal { kind, value, weight };
        let explanation = Explanation {
            raw_score: 1.1,
            signals: vec![
                signal(SignalKind::Dense, 0.5, 1.0),
                signal(SignalKind::Actor, 0.0, 0.4),
                signal(SignalKind::Session, 0.75, 0.8),
            ],
        };
        assert_eq!(
            table(&explanation),
            "        0.60 =  0.75 × 0.800 session      relevant conversation\n\
             \x20       0.50 =  0.50 × 1.000 dense        close in meaning\n"
        );
    }
}
