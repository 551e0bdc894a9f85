//! Entities of a text: names, quoted titles and specific noun phrases, as mem0 extracts them.

mod finish;
mod kind;
mod names;
mod phrases;
mod quotes;
mod tagged;
mod words;

pub use kind::{Entity, EntityKind};
use tagged::Tagged;

/// The entities of `text`: names, then quotes, then phrases, each in order of appearance.
///
/// No two have the same text, ignoring case, and none is part of a longer one. Applies the rules that mem0 2.0 applies to
/// spaCy's small English model, to the output of this crate's own tagger. Takes time linear in the length of `text`, except
/// for a sort of the entities.
pub fn extract(text: &str) -> Vec<Entity> {
    let tagged = Tagged::new(text);
    let mut found = Vec::new();
    names::find(&tagged, &mut found);
    quotes::find(text, &mut found);
    phrases::find(&tagged, &mut found);
    finish::finish(found)
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
    fn quotes_need_three_characters() {
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
    fn the_longest_of_nested_entities_is_kept() {
        check("We saw Cape Town and later we read \"Nights of Cape Town\".", &[(Proper, "Nights of Cape Town")]);
        check("He likes Rust. He likes RUST.", &[(Proper, "Rust")]);
    }
}
