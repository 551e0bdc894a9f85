//! A text with the results of the tagger.

use crate::tag::{Place, Tag, Token, atoms, places, tags, tokenize};

/// A text with its tokens, their tags, and their places in noun phrases.
pub(super) struct Tagged<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token>,
    pub(super) tags: Vec<Tag>,
    pub(super) places: Vec<Place>,
}

impl<'t> Tagged<'t> {
    /// Tags a text.
    pub(super) fn new(text: &'t str) -> Self {
        let tokens = tokenize(text);
        let atoms = atoms(text, &tokens);
        let tags = tags(&atoms);
        let places = places(&atoms, &tags);
        Self { text, tokens, tags, places }
    }

    pub(super) fn word(&self, at: usize) -> &'t str {
        self.tokens[at].of(self.text)
    }

    pub(super) fn is_capitalised(&self, at: usize) -> bool {
        self.word(at).starts_with(char::is_uppercase)
    }
}
