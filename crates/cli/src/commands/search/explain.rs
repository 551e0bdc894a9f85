//! Why a memory ranked where it did, in plain words.

use mnemon_engine::{Explanation, Signal};

/// What a signal says of a memory.
pub(in crate::commands) fn meaning(signal: &str) -> &'static str {
    match signal {
        "dense" | "semantic" => "close in meaning",
        "text" | "bm25" => "the same words",
        "text_sum" => "the same rare words",
        "context" => "the same words, here or just before",
        "before" => "what was said before it has the words",
        "after" => "what was said after it has the words",
        "actor" => "said by the one asked about",
        "session" => "its conversation fits",
        "date" => "said on the day asked about",
        "when" => "tells a time, as asked",
        "entity_boost" => "names what is asked about",
        _ => "",
    }
}

/// The signals that moved the score, the strongest first, with what each adds.
pub(in crate::commands) fn contributions(explanation: &Explanation) -> Vec<(&Signal, f32)> {
    let mut parts: Vec<(&Signal, f32)> =
        explanation.signals.iter().map(|signal| (signal, signal.value * signal.weight)).collect();
    parts.retain(|(_, share)| share.abs() >= 0.005);
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    parts
}

/// A line for each signal: value × weight = what it adds, and what it means.
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
    fn what_adds_nothing_is_not_told() {
        let signal = |name, value, weight| Signal { name, value, weight };
        let explanation = Explanation {
            raw_score: 1.1,
            signals: vec![signal("dense", 0.5, 1.0), signal("actor", 0.0, 0.4), signal("session", 0.75, 0.8)],
        };
        assert_eq!(
            table(&explanation),
            "        0.60 =  0.75 × 0.800 session      its conversation fits\n\
             \x20       0.50 =  0.50 × 1.000 dense        close in meaning\n"
        );
    }
}
