//! Removes the inflection of a word whose part of speech is known, with WordNet's rules and exceptions in the order of
//! spaCy's English lemmatizer.

use std::borrow::Cow;

use crate::tag::{ADJECTIVE, ADVERB, NOUN, Tag, VERB, exception, parts_of_speech};

/// Endings and their replacements.
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

/// Maximum length of a word whose inflection is looked up, in bytes.
const MAX_LEN: usize = 48;

/// The lemma of a word in lower case with this tag.
pub(crate) fn lemma(word: &str, tag: Tag) -> Cow<'_, str> {
    if word.len() > MAX_LEN {
        return Cow::Borrowed(word);
    }
    let (part, rules) = match tag {
        Tag::Nouns => (NOUN, NOUN_RULES),
        Tag::VerbPast | Tag::VerbIng | Tag::VerbPerfect | Tag::VerbThird => (VERB, VERB_RULES),
        Tag::Comparative | Tag::Superlative => (ADJECTIVE, ADJECTIVE_RULES),
        tag if tag.is_adverb() => (ADVERB, &[][..]),
        _ => return Cow::Borrowed(expand_contraction(word, tag)),
    };
    if let Some(lemma) = exception(word, part) {
        return Cow::Borrowed(lemma);
    }
    // The last rule that gives a known word is used, else the first rule that applies.
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
    known.or(unknown).unwrap_or(Cow::Borrowed(expand_contraction(word, tag)))
}

/// The full word of a part of a contraction.
fn expand_contraction(word: &str, tag: Tag) -> &str {
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
    fn inflections_are_removed() {
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
