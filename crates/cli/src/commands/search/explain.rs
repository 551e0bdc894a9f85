//! Explanations of scores in plain words.

use mnemon_engine::{Explanation, Signal};

/// What a signal means.
pub(in crate::commands) fn meaning(signal: &str) -> &'static str {
    match signal {
        "dense" | "semantic" => "close in meaning",
        "text" | "bm25" => "same words",
        "text_sum" => "same rare words",
        "context" => "same words, here or shortly before",
        "before" => "the message before has the words",
        "after" => "the message after has the words",
        "actor" => "said by the person in the query",
        "session" => "relevant conversation",
        "date" => "said on the date in the query",
        "when" => "mentions a time, as asked",
        "entity_boost" => "mentions a name in the query",
        _ => "",
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
        let Signal { name, value, weight } = signal;
        format!("      {share:>6.2} = {value:>5.2} × {weight:<5.3} {name:<12} {}\n", meaning(name))
    };
    contributions(explanation).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_without_contribution_are_omitted() {
        let signal = |name, value, weight| Signal { name, value, weight };
        let explanation = Explanation {
            raw_score: 1.1,
            signals: vec![signal("dense", 0.5, 1.0), signal("actor", 0.0, 0.4), signal("session", 0.75, 0.8)],
        };
        assert_eq!(
            table(&explanation),
            "        0.60 =  0.75 × 0.800 session      relevant conversation\n\
             \x20       0.50 =  0.50 × 1.000 dense        close in meaning\n"
        );
    }
}
