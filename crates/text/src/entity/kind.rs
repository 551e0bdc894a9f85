//! An entity and its kind.

use std::fmt;

/// The kind of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    /// A name: a run of capitalised words.
    Proper,
    /// A text in quotes.
    Quoted,
    /// A noun phrase of two or more words, one of them specific.
    Compound,
    /// The head noun of a phrase whose other words only name circumstances ("team meeting").
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

/// An entity that a text mentions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    /// Its kind.
    pub kind: EntityKind,
    /// Its name: as written, except that the nouns of a compound are lemmas.
    pub text: String,
}
