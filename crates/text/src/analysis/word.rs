//! A word and its terms.

use crate::tokenize::term_id;

/// A word of a text, with the terms under which it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// The term of its base form.
    pub(super) term: u32,
    /// Terms of its other forms, which mean the same.
    pub(super) forms: Vec<u32>,
    /// Terms of its parts.
    pub(super) parts: Vec<u32>,
}

impl Word {
    pub(super) fn new(base: &str) -> Self {
        Self { term: term_id(base), ..Self::default() }
    }
}
