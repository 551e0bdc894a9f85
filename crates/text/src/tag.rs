//! Tokens and their parts of speech, close to the output of spaCy's small English model.
//!
//! Two averaged perceptrons use WordNet's word classes, word endings and the neighbouring words: one assigns the tag of
//! each token, the other its place in a noun phrase. They work greedily from left to right, in linear time.

mod features;
mod forms;
mod labels;
mod lexicon;
mod model;
mod token;

pub(crate) use features::{Atoms, CHUNK_FEATURES, TAG_FEATURES, chunk_features, push_lower, tag_features};
use labels::place_from;
pub(crate) use labels::{Place, Tag, tag_from};
pub(crate) use lexicon::{ADJECTIVE, ADVERB, NOUN, VERB, exception, parts_of_speech};
pub(crate) use token::{Token, is_edge_punctuation, is_icon, tokenize};

/// The input of the classifiers for each token.
pub(crate) fn atoms(text: &str, tokens: &[Token]) -> Vec<Atoms> {
    let cased = text.chars().any(char::is_uppercase);
    let mut lower = String::new();
    tokens
        .iter()
        .map(|token| {
            lower.clear();
            push_lower(&mut lower, token.of(text));
            Atoms::new(token.of(text), &lower, cased, token.is_space)
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
    places.into_iter().map(place_from).collect()
}
