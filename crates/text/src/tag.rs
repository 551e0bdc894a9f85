//! Tokens and their parts of speech, as spaCy's small English model would give them.
//!
//! Two averaged perceptrons read WordNet's word classes, word endings and the neighbouring words:
//! one gives each token its tag, the other its place in a noun phrase. Greedy, left to right, in
//! linear time.

mod features;
mod forms;
mod lexicon;
mod model;
mod token;

pub(crate) use features::{Atoms, CHUNK_FEATURES, TAG_FEATURES, chunk_features, push_lower, tag_features};
pub(crate) use lexicon::{ADJECTIVE, ADVERB, NOUN, VERB, exception, parts_of_speech};
pub(crate) use token::{Token, is_edge_punctuation, is_icon, tokenize};

/// A part of speech: Penn Treebank tags, function words and marks merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[rustfmt::skip]
pub(crate) enum Tag {
    Space, Noun, Nouns, Name, Names, VerbBase, VerbPresent, VerbPast, VerbIng, VerbPerfect, VerbThird, Adjective,
    Comparative, Superlative, Adverb, AdverbComparative, AdverbSuperlative, Modal, Determiner, Pronoun, PronounOwner,
    Preposition, Conjunction, Number, To, Particle, Question, Possessive, Punctuation, Symbol, Interjection, Other,
}

#[rustfmt::skip]
const TAGS: [Tag; 32] = {
    use Tag::*;
    [
        Space, Noun, Nouns, Name, Names, VerbBase, VerbPresent, VerbPast, VerbIng, VerbPerfect, VerbThird, Adjective,
        Comparative, Superlative, Adverb, AdverbComparative, AdverbSuperlative, Modal, Determiner, Pronoun, PronounOwner,
        Preposition, Conjunction, Number, To, Particle, Question, Possessive, Punctuation, Symbol, Interjection, Other,
    ]
};

impl Tag {
    pub(crate) fn is_common_noun(self) -> bool {
        matches!(self, Tag::Noun | Tag::Nouns)
    }

    pub(crate) fn is_name(self) -> bool {
        matches!(self, Tag::Name | Tag::Names)
    }

    pub(crate) fn is_adjective(self) -> bool {
        matches!(self, Tag::Adjective | Tag::Comparative | Tag::Superlative)
    }

    pub(crate) fn is_adverb(self) -> bool {
        matches!(self, Tag::Adverb | Tag::AdverbComparative | Tag::AdverbSuperlative)
    }
}

/// A token's place in a noun phrase and what it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// In no noun phrase.
    Outside = 1,
    /// The first token of a phrase.
    First,
    /// The first token, a noun that qualifies a later noun.
    FirstCompound,
    /// The first token, an adjective or participle that qualifies a noun.
    FirstModifier,
    /// A later token.
    Inner,
    /// A later token, a noun that qualifies a later noun.
    InnerCompound,
    /// A later token, an adjective or participle that qualifies a noun.
    InnerModifier,
}

const PLACES: [Place; 8] = {
    use Place::*;
    [Outside, Outside, First, FirstCompound, FirstModifier, Inner, InnerCompound, InnerModifier]
};

impl Place {
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Place::First | Place::FirstCompound | Place::FirstModifier)
    }

    pub(crate) fn is_compound(self) -> bool {
        matches!(self, Place::FirstCompound | Place::InnerCompound)
    }

    pub(crate) fn is_modifier(self) -> bool {
        matches!(self, Place::FirstModifier | Place::InnerModifier)
    }
}

/// The tag that a classifier's label stands for.
pub(crate) fn tag_from(label: u8) -> Tag {
    TAGS[usize::from(label)]
}

/// What the classifiers see of `tokens`.
pub(crate) fn atoms(text: &str, tokens: &[Token]) -> Vec<Atoms> {
    let cased = text.chars().any(char::is_uppercase);
    let mut lower = String::new();
    tokens
        .iter()
        .map(|token| {
            lower.clear();
            push_lower(&mut lower, token.of(text));
            Atoms::read(token.of(text), &lower, cased, token.is_space)
        })
        .collect()
}

/// The tag of each token.
pub(crate) fn tags(atoms: &[Atoms]) -> Vec<Tag> {
    let mut tags: Vec<u8> = Vec::with_capacity(atoms.len());
    let mut features = [0; TAG_FEATURES];
    for (at, atom) in atoms.iter().enumerate() {
        if atom.is_space {
            tags.push(0);
            continue;
        }
        tag_features(atoms, &tags, at, &mut features);
        tags.push(model::TAGS.best(&features));
    }
    tags.into_iter().map(tag_from).collect()
}

/// The place of each token in a noun phrase.
pub(crate) fn places(atoms: &[Atoms], tags: &[Tag]) -> Vec<Place> {
    let mut places: Vec<u8> = Vec::with_capacity(atoms.len());
    let mut features = [0; CHUNK_FEATURES];
    for (at, atom) in atoms.iter().enumerate() {
        if atom.is_space {
            places.push(1);
            continue;
        }
        chunk_features(atoms, tags, &places, at, &mut features);
        places.push(model::PLACES.best(&features));
    }
    places.into_iter().map(|place| PLACES[usize::from(place)]).collect()
}
