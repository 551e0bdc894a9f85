//! Analyses a question: the names, the asker and the dates in it.

use mnemon_store::{Role, ScopeStats};
use mnemon_text::dates::{self, DateParts};
use mnemon_text::unicode::{is_mark, is_word};

/// A name in at least this share of a scope's memories does not help to find one of them …
const COMMON_NAME_SHARE: f64 = 0.35;
/// … provided that it is in at least this number of memories: in a small scope every name helps.
const COMMON_NAME_MEMORIES: usize = 5;
/// Actors that are roles, not persons.
const ROLES: [Role; 3] = [Role::User, Role::Assistant, Role::System];

/// An analysed question.
pub(super) struct Question {
    /// The question without the names that are common in the scope.
    pub(super) stripped: String,
    /// The actor that it names, if it names exactly one known actor.
    pub(super) actor: Option<String>,
    /// Whether the asker asks about themselves, and not about what the assistant said.
    pub(super) about_the_user: bool,
    /// The dates that it names.
    pub(super) dates: DateParts,
    /// Whether it asks for a time.
    pub(super) asks_when: bool,
}

/// The capitalised words of a question, each with its term.
pub(super) fn names(question: &str) -> Vec<(&str, u32)> {
    question.split_whitespace().filter_map(|word| Some((word, name_term(word)?))).collect()
}

impl Question {
    /// Analyses a question. `names` are its [`names`], and `stats` holds the statistics of their terms, in their order.
    pub(super) fn new(text: &str, names: &[(&str, u32)], stats: &ScopeStats) -> Self {
        let common = |term: u32| {
            let name = names.iter().zip(&stats.document_frequency).find(|((_, other), _)| *other == term);
            name.is_some_and(|(_, &count)| {
                count >= COMMON_NAME_MEMORIES && count as f64 >= COMMON_NAME_SHARE * stats.memories as f64
            })
        };
        let kept: Vec<&str> = text.split_whitespace().filter(|word| !name_term(word).is_some_and(common)).collect();
        let stripped = if kept.is_empty() { text.to_owned() } else { kept.join(" ") };
        let mut named = stats
            .actors
            .iter()
            .filter(|actor| !ROLES.contains(&Role::from(actor.as_str())) && contains_word(text, actor));
        let actor = match (named.next(), named.next()) {
            (Some(actor), None) => Some(actor.clone()),
            _ => None,
        };
        Self {
            stripped,
            actor,
            about_the_user: dates::in_first_person(text) && !dates::asks_what_other_said(text),
            dates: dates::date_parts(text),
            asks_when: dates::asks_when(text),
        }
    }
}

/// The term of a capitalised word, without possessive and punctuation; `None` for other words, for stopwords and for words
/// joined by punctuation: a common first part ("Flask-Login" in a scope about Flask) does not make the whole common.
fn name_term(word: &str) -> Option<u32> {
    let mut core = word;
    for possessive in ["'s", "\u{2019}s"] {
        if let Some(at) = core.find(possessive) {
            let after = &core[at + possessive.len()..];
            if !after.starts_with(is_word) {
                core = &core[..at];
            }
        }
    }
    let core = core.trim_matches(|c| !is_word(c));
    if !core.chars().next()?.is_uppercase() || !core.chars().all(|c| is_word(c) || is_mark(c)) {
        return None;
    }
    mnemon_text::index_terms(core).words.first().copied()
}

/// Whether a text contains a name between word boundaries.
fn contains_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let (first, last) = (name.chars().next(), name.chars().next_back());
        is_boundary(before, first) && is_boundary(last, after)
    })
}

/// Whether there is a word boundary between two characters: exactly one of them is a word character.
fn is_boundary(left: Option<char>, right: Option<char>) -> bool {
    left.is_some_and(is_word) != right.is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(memories: usize, frequency: Vec<usize>, actors: &[&str]) -> ScopeStats {
        let actors = actors.iter().map(|&actor| actor.to_owned()).collect();
        ScopeStats { memories, document_frequency: frequency, actors }
    }

    #[test]
    fn common_names_are_removed_and_rare_ones_kept() {
        let text = "What did Maria's sister say about Portland?";
        let names = names(text);
        assert_eq!(names.iter().map(|(word, _)| *word).collect::<Vec<_>>(), ["Maria's", "Portland?"]);
        let question = Question::new(text, &names, &stats(100, vec![35, 3], &["Maria", "user"]));
        assert_eq!(question.stripped, "What did sister say about Portland?");
        assert_eq!(question.actor.as_deref(), Some("Maria"));
    }

    #[test]
    fn a_question_of_common_names_alone_is_kept() {
        let names = names("Maria?");
        assert_eq!(Question::new("Maria?", &names, &stats(9, vec![9], &[])).stripped, "Maria?");
    }

    #[test]
    fn all_names_are_kept_in_a_small_scope() {
        let text = "Who lives in Lisbon?";
        assert_eq!(Question::new(text, &names(text), &stats(4, vec![4], &[])).stripped, text);
    }

    #[test]
    fn a_word_with_a_common_first_part_is_kept() {
        for text in ["Have we integrated Flask-Login?", "Did we move Flask/Login?", "Who likes Flask\u{2019}ing?"] {
            let names = names(text);
            let stats = stats(10, vec![9; names.len()], &[]);
            assert_eq!(Question::new(text, &names, &stats).stripped, text);
        }
    }

    #[test]
    fn two_named_actors_count_as_none() {
        let text = "Did Ana meet Ben?";
        let question = Question::new(text, &names(text), &stats(9, vec![0; 3], &["Ana", "Ben"]));
        assert_eq!(question.actor, None);
        let text = "Did Ana meet Benny?";
        let question = Question::new(text, &names(text), &stats(9, vec![0; 3], &["Ana", "Ben"]));
        assert_eq!(question.actor.as_deref(), Some("Ana"));
    }
}
