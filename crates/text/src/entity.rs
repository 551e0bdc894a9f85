//! Entities of a text: names, quoted titles and specific noun phrases, as mem0 extracts them.

mod finish;
mod names;
mod phrases;
mod quotes;
mod words;

use std::fmt;

use crate::tag::{Place, Tag, Token, atoms, places, tags, tokenize};

/// What an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    /// A run of capitalised words.
    Proper,
    /// A text in quotes.
    Quoted,
    /// A noun phrase of two or more words, one of them specific.
    Compound,
    /// The noun left of a phrase that only adds circumstances ("team meeting").
    Noun,
}

impl EntityKind {
    /// The name under which mem0 stores the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            EntityKind::Proper => "PROPER",
            EntityKind::Quoted => "QUOTED",
            EntityKind::Compound => "COMPOUND",
            EntityKind::Noun => "NOUN",
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a text speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name: as written, except that the nouns of a compound are lemmas.
    pub text: String,
}

/// The entities of `text`: names, then quotes, then phrases, each in order of appearance.
///
/// No two have the same text, letter case aside, and none is part of a longer one. Follows the
/// rules that mem0 2.0 applies to spaCy's small English model, on this crate's own tagger.
/// Linear in the length of `text`, but for a sort of what was found.
pub fn extract(text: &str) -> Vec<Entity> {
    let tokens = tokenize(text);
    let atoms = atoms(text, &tokens);
    let tags = tags(&atoms);
    let places = places(&atoms, &tags);
    let sentence = Tagged { text, tokens, tags, places };
    let mut found = Vec::new();
    names::find(&sentence, &mut found);
    quotes::find(text, &mut found);
    phrases::find(&sentence, &mut found);
    finish::finish(found)
}

/// A text with what the tagger says about it.
struct Tagged<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    tags: Vec<Tag>,
    places: Vec<Place>,
}

impl<'t> Tagged<'t> {
    fn word(&self, at: usize) -> &'t str {
        self.tokens[at].of(self.text)
    }

    fn is_capitalised(&self, at: usize) -> bool {
        self.word(at).starts_with(char::is_uppercase)
    }
}

fn is_one_of(word: &str, sorted: &[&str]) -> bool {
    sorted.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::EntityKind::{Compound, Noun, Proper, Quoted};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(EntityKind, &str)]) {
        let found = extract(text);
        let found: Vec<_> = found.iter().map(|entity| (entity.kind, entity.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_runs_of_capitalised_words() {
        check("She met Bob near the Bank of England.", &[(Proper, "Bob"), (Proper, "Bank of England")]);
        // Linking words join names, as they do in mem0.
        check("We saw Bob and Eve.", &[(Proper, "Bob and Eve")]);
        check("Dogs like her.", &[]);
        check("Anna Smith left.", &[(Proper, "Anna Smith")]);
    }

    #[test]
    fn quotes_count_from_three_characters() {
        check("He said \"go home now\" and \"no\".", &[(Quoted, "go home now")]);
        check("We watched 'the blue one' twice.", &[(Quoted, "the blue one")]);
        check("\"\" ''", &[]);
    }

    #[test]
    fn phrases_need_a_specific_modifier() {
        check("She drinks green tea.", &[(Compound, "green tea")]);
        check("He has a good day.", &[]);
        check("They joined the coral reef surveys.", &[(Compound, "coral reef survey")]);
        check("She is in the team meeting.", &[(Noun, "meeting")]);
    }

    #[test]
    fn the_longest_of_nested_entities_stays() {
        check("We saw Cape Town and later we read \"Nights of Cape Town\".", &[(Proper, "Nights of Cape Town")]);
        check("He likes Rust. He likes RUST.", &[(Proper, "Rust")]);
    }
}
