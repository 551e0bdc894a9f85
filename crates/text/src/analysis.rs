//! The terms of Mnemon's own ranking: words of any language, so that inflected forms and scripts without spaces are found.
//!
//! These terms are stored with a memory and looked up by a question. They are not those of mem0's sparse vectors, which stay
//! equal to fastembed's: see [`term_ids`]. For English text both are the same.

mod first;
mod fold;
mod function_words;
mod korean;
mod language;
mod pairs;
mod segments;
mod spaced;
mod spaceless;
mod stems;
mod word;

use std::collections::HashSet;

pub use first::first_terms;
pub use language::Language;

use crate::tokenize::{is_emoji, term_ids};
use fold::Folded;
use segments::{Script, segments};
use word::Word;

/// The version of [`index_terms`]. It is stored with the terms: those of another version must be made again.
pub const VERSION: u32 = 2;

/// The weight of a [part](QueryWord::parts) of a word, relative to the word.
pub const PART_WEIGHT: f32 = 0.4;

/// The terms of a memory's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexTerms {
    /// One term for each word, in order, with duplicates. Their number is the length of the text in BM25.
    pub words: Vec<u32>,
    /// Other terms under which the words are found: parts of compounds, single Han characters, forms without a prefix, and
    /// the [marker](Language::marker) of the text's language.
    pub parts: Vec<u32>,
}

/// A word of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryWord {
    /// The terms under which memories may have the word, the most likely first. Never empty.
    pub forms: Vec<u32>,
    /// Terms of parts of the word, which are weaker evidence. They count only if a memory has them.
    pub parts: Vec<u32>,
}

/// The terms of a text that is stored.
///
/// The text is compared in NFKC, so that composed and decomposed accents, wide and narrow forms, and ligatures are the same.
/// Words are stemmed by the language of the text ([`Language::of`]) or of their script, and lose their accents. Function words
/// are dropped. A run of Han, kana, Thai, Lao, Khmer or Myanmar characters gives its overlapping pairs; single Han characters
/// are parts. Korean words lose their particles. Each emoji is a word.
pub fn index_terms(text: &str) -> IndexTerms {
    let folded = Folded::new(text);
    let language = Language::of_folded(&folded);
    if folded.is_ascii() && language.is_none() {
        return IndexTerms { words: term_ids(&folded), parts: Vec::new() };
    }
    let mut terms = IndexTerms::default();
    terms.parts.extend(language.map(Language::marker));
    each_word(&folded, language, &mut |word, _| {
        terms.words.push(word.term);
        terms.parts.extend(word.forms);
        terms.parts.extend(word.parts);
    });
    terms
}

/// The distinct words of a question, for memories in these languages of the Latin script besides English.
///
/// A question is often too short to show its language; therefore each of its words is looked up in the form that it has in
/// each of the languages. Function words of the question's language are dropped, unless there are no other words.
pub fn query_words(text: &str, languages: &[Language]) -> Vec<QueryWord> {
    let folded = Folded::new(text);
    let own = Language::of_folded(&folded);
    let may_have_function_words = own.is_none() && !language::has_english_words(&folded);
    let mut words: Vec<QueryWord> = Vec::new();
    each_word(&folded, own, &mut |word, latin| {
        let mut forms = vec![word.term];
        forms.extend(&word.forms);
        let mut parts = word.parts;
        let Some(latin) = latin else { return words.push(QueryWord { forms, parts }) };
        let is_function_word = |language: &&Language| language.has_function_word(latin);
        if may_have_function_words && languages.iter().any(|language| is_function_word(&language)) {
            return;
        }
        for language in languages.iter().copied().map(Some).chain([None]).filter(|language| *language != own) {
            if let Some(word) = spaced::latin_word(latin, language) {
                forms.push(word.term);
                forms.extend(word.forms);
                parts.extend(word.parts);
            }
        }
        words.push(QueryWord { forms, parts });
    });
    let mut seen = HashSet::new();
    for word in &mut words {
        word.forms.retain(|form| seen.insert(*form));
    }
    words.retain(|word| !word.forms.is_empty());
    for word in &mut words {
        word.parts.retain(|part| seen.insert(*part));
    }
    words
}

/// Calls `each` with the words of a text, and with the word as written, if its script is Latin.
fn each_word(folded: &Folded<'_>, language: Option<Language>, each: &mut dyn FnMut(Word, Option<&str>)) {
    for (script, part) in segments(folded) {
        match script {
            Script::Spaced => spaced::word(part, language, each),
            Script::Hangul => korean::word(part, &mut |word| each(word, None)),
            Script::HanAndKana => spaceless::han_and_kana(part, &mut |word| each(word, None)),
            Script::Indochina => spaceless::indochina(part, &mut |word| each(word, None)),
        }
    }
    for emoji in folded.chars().filter(|&c| is_emoji(c)) {
        each(Word::new(emoji.encode_utf8(&mut [0; 4])), None);
    }
}

#[cfg(test)]
mod tests;
