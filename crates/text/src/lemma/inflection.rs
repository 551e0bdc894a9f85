//! Takes inflections off a word of known part of speech: WordNet's rules and exceptions, in the
//! order in which spaCy's English lemmatizer tries them.

use std::borrow::Cow;

use crate::tag::{ADJECTIVE, ADVERB, NOUN, Tag, VERB, exception, parts_of_speech};

/// Endings and what they become.
type Rules = &'static [(&'static str, &'static str)];

const NOUN_RULES: Rules = &[
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
];
const VERB_RULES: Rules =
    &[("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")];
const ADJECTIVE_RULES: Rules = &[("er", ""), ("est", ""), ("er", "e"), ("est", "e")];

/// Longer words have no inflection worth looking up.
const LONGEST: usize = 48;

/// The lemma of a lower-case word that was tagged `tag`.
pub(crate) fn lemma(word: &str, tag: Tag) -> Cow<'_, str> {
    if word.len() > LONGEST {
        return Cow::Borrowed(word);
    }
    let (part, rules) = match tag {
        Tag::Nouns => (NOUN, NOUN_RULES),
        Tag::VerbPast | Tag::VerbIng | Tag::VerbPerfect | Tag::VerbThird => (VERB, VERB_RULES),
        Tag::Comparative | Tag::Superlative => (ADJECTIVE, ADJECTIVE_RULES),
        tag if tag.is_adverb() => (ADVERB, &[][..]),
        _ => return Cow::Borrowed(clipped(word, tag)),
    };
    if let Some(lemma) = exception(word, part) {
        return Cow::Borrowed(lemma);
    }
    // The last rule that gives a known word wins; else the first that gives any.
    let mut known = None;
    let mut unknown = None;
    for (ending, replacement) in rules {
        let Some(stem) = word.strip_suffix(ending) else { continue };
        if stem.is_empty() && replacement.is_empty() {
            continue;
        }
        let form = if replacement.is_empty() { Cow::Borrowed(stem) } else { Cow::Owned([stem, replacement].concat()) };
        if parts_of_speech(&form) & part != 0 {
            known = Some(form);
        } else if unknown.is_none() {
            unknown = Some(form);
        }
    }
    known.or(unknown).unwrap_or(Cow::Borrowed(clipped(word, tag)))
}

/// The full word behind the first half of a contraction.
fn clipped(word: &str, tag: Tag) -> &str {
    match (word, tag) {
        ("wo", Tag::Modal) => "will",
        ("sha", Tag::Modal) => "shall",
        ("nt", Tag::Adverb) => "not",
        ("na" | "ta", Tag::To) => "to",
        ("gon", Tag::VerbIng) => "go",
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_come_off() {
        let cases = [
            ("studies", Tag::VerbThird, "study"),
            ("painting", Tag::VerbIng, "paint"),
            ("using", Tag::VerbIng, "use"),
            ("went", Tag::VerbPast, "go"),
            ("children", Tag::Nouns, "child"),
            ("classes", Tag::Nouns, "class"),
            ("happier", Tag::Comparative, "happy"),
            ("better", Tag::Adverb, "well"),
            ("wo", Tag::Modal, "will"),
            ("meeting", Tag::Noun, "meeting"),
            ("robotics", Tag::Name, "robotics"),
        ];
        for (word, tag, expected) in cases {
            assert_eq!(lemma(word, tag), expected, "{word}");
        }
    }

    #[test]
    fn unknown_words_follow_the_first_rule() {
        assert_eq!(lemma("frobnicated", Tag::VerbPast), "frobnicate");
        assert_eq!(lemma("s", Tag::Nouns), "s");
    }
}
