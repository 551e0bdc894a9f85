//! The labels of the classifiers: parts of speech, and places in noun phrases.

/// A part of speech: the tags of the Penn Treebank, with those of function words and punctuation merged.
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

/// A token's place in a noun phrase, and its function there.
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

/// The tag of a classifier's label.
pub(crate) fn tag_from(label: u8) -> Tag {
    TAGS[usize::from(label)]
}

/// The place of a classifier's label.
pub(crate) fn place_from(label: u8) -> Place {
    PLACES[usize::from(label)]
}
