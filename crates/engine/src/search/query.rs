//! What a question says beside its words: whose name it drops, who asks, and about when.

use mnemon_store::ScopeStats;
use mnemon_text::dates::{self, DateParts};

/// Names held by at least this share of a scope's memories tell nothing about which memory is meant.
const NAME_SHARE: f64 = 0.35;
/// … but no fewer than this many: where little is stored, two memories of Lisbon are no reason to forget the name.
const NAME_LEAST: usize = 5;
/// Speakers who are a role, not a person.
const ROLES: [&str; 3] = ["user", "assistant", "system"];

/// A question taken apart.
pub(super) struct Question {
    /// Without the names that the scope says all the time.
    pub(super) stripped: String,
    /// The one known actor it names.
    pub(super) actor: Option<String>,
    /// Whether the asker speaks of themselves, and not of what the assistant said.
    pub(super) of_the_user: bool,
    /// The dates it names.
    pub(super) dates: DateParts,
    /// Whether it wants a time for an answer.
    pub(super) asks_when: bool,
}

/// Capitalised words of a question, with the term each would be.
pub(super) fn names(question: &str) -> Vec<(&str, u32)> {
    question.split_whitespace().filter_map(|word| Some((word, name_term(word)?))).collect()
}

impl Question {
    /// `frequencies`: the statistics asked for the terms of [`names`], in their order.
    pub(super) fn new(text: &str, names: &[(&str, u32)], stats: &ScopeStats) -> Self {
        let common = |term: u32| {
            let held = names.iter().zip(&stats.document_frequency).find(|((_, other), _)| *other == term);
            held.is_some_and(|(_, &count)| count >= NAME_LEAST && count as f64 >= NAME_SHARE * stats.memories as f64)
        };
        let kept: Vec<&str> = text.split_whitespace().filter(|word| !name_term(word).is_some_and(common)).collect();
        let stripped = if kept.is_empty() { text.to_owned() } else { kept.join(" ") };
        let mut named = stats.actors.iter().filter(|actor| !ROLES.contains(&actor.as_str()) && holds_word(text, actor));
        let actor = match (named.next(), named.next()) {
            (Some(actor), None) => Some(actor.clone()),
            _ => None,
        };
        Self {
            stripped,
            actor,
            of_the_user: dates::in_first_person(text) && !dates::asks_what_other_said(text),
            dates: dates::date_parts(text),
            asks_when: dates::asks_when(text),
        }
    }
}

/// The term of a capitalised word that is no stopword: without possessive and punctuation around it.
fn name_term(word: &str) -> Option<u32> {
    let mut core = word;
    for possessive in ["'s", "\u{2019}s"] {
        if let Some(at) = core.find(possessive) {
            let after = &core[at + possessive.len()..];
            if !after.starts_with(mnemon_text::unicode::is_word) {
                core = &core[..at];
            }
        }
    }
    let core = core.trim_matches(|c| !mnemon_text::unicode::is_word(c));
    if !core.chars().next()?.is_uppercase() {
        return None;
    }
    let lower = core.to_lowercase();
    if mnemon_text::is_stopword(&lower) {
        return None;
    }
    Some(mnemon_text::term_id(&mnemon_text::stem(&lower)))
}

/// Whether a text holds a name between word boundaries.
fn holds_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let (first, last) = (name.chars().next(), name.chars().next_back());
        boundary(before, first) && boundary(last, after)
    })
}

/// A word boundary: one side is a word character, the other is none.
fn boundary(left: Option<char>, right: Option<char>) -> bool {
    left.is_some_and(mnemon_text::unicode::is_word) != right.is_some_and(mnemon_text::unicode::is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(memories: usize, frequency: Vec<usize>, actors: &[&str]) -> ScopeStats {
        let actors = actors.iter().map(|&actor| actor.to_owned()).collect();
        ScopeStats { memories, document_frequency: frequency, actors }
    }

    #[test]
    fn frequent_names_are_dropped_and_rare_ones_kept() {
        let text = "What did Maria's sister say about Portland?";
        let names = names(text);
        assert_eq!(names.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["Maria's", "Portland?"]);
        let question = Question::new(text, &names, &stats(100, vec![35, 3], &["Maria", "user"]));
        assert_eq!(question.stripped, "What did sister say about Portland?");
        assert_eq!(question.actor.as_deref(), Some("Maria"));
    }

    #[test]
    fn a_question_of_nothing_but_names_stays_whole() {
        let names = names("Maria?");
        assert_eq!(Question::new("Maria?", &names, &stats(9, vec![9], &[])).stripped, "Maria?");
    }

    #[test]
    fn where_little_is_stored_every_name_tells() {
        let text = "Who lives in Lisbon?";
        assert_eq!(Question::new(text, &names(text), &stats(4, vec![4], &[])).stripped, text);
    }

    #[test]
    fn two_named_actors_are_none() {
        let text = "Did Ana meet Ben?";
        let question = Question::new(text, &names(text), &stats(9, vec![0; 3], &["Ana", "Ben"]));
        assert_eq!(question.actor, None);
        let text = "Did Ana meet Benny?";
        let question = Question::new(text, &names(text), &stats(9, vec![0; 3], &["Ana", "Ben"]));
        assert_eq!(question.actor.as_deref(), Some("Ana"));
    }
}
