//! Words of scripts with spaces.

use super::fold::without_accents;
use super::function_words::is_function_word;
use super::language::Language;
use super::stems::{self, Alphabet};
use super::word::Word;
use crate::tokenize::{stem, stem_if_kept, term_id};

/// Maximum number of characters of a word; longer ones are dropped, as by fastembed.
const MAX_CHARS: usize = 40;
/// Number of characters of a prefix that forms of the same word share in languages with many forms.
const PREFIX: usize = 5;
/// Minimum number of characters of a part of a compound.
const MIN_PART: usize = 4;

/// Calls `each` with a word, unless it is a function word, and with its spelling if its script is Latin.
pub(super) fn word(word: &str, language: Option<Language>, each: &mut dyn FnMut(Word, Option<&str>)) {
    let lower;
    let word = if word.bytes().any(|b| b.is_ascii_uppercase()) {
        lower = word.to_ascii_lowercase();
        &lower
    } else {
        word
    };
    match Alphabet::of(word) {
        Alphabet::Latin => latin_word(word, language).into_iter().for_each(|found| each(found, Some(word))),
        alphabet => other_word(word, alphabet).into_iter().for_each(|word| each(word, None)),
    }
}

/// A word of the Latin script in this language, English if it is not known; `None` for a function word.
pub(super) fn latin_word(word: &str, language: Option<Language>) -> Option<Word> {
    let Some(language) = language else {
        return stem_if_kept(word).map(|stem| Word::new(&without_accents(&stem)));
    };
    if is_dropped(word) || language.has_function_word(word) {
        return None;
    }
    let stem = language.stem(word);
    let mut found = Word::new(&stem);
    if language.glues_words() {
        found.parts.extend(compound_parts(&stem));
    }
    if language.has_many_forms() {
        found.parts.extend(prefix(&stem));
    }
    if language.tones_matter() && stem != word {
        found.forms.push(term_id(word));
    }
    Some(found)
}

/// A word of a script that determines how it is stemmed.
fn other_word(word: &str, alphabet: Alphabet) -> Option<Word> {
    let plain = without_accents(word);
    if is_dropped(word) || is_function_word(&plain) {
        return None;
    }
    let mut forms = stems::forms(word, alphabet).into_iter();
    let mut found = Word::new(&forms.next().unwrap_or_else(|| stem(&plain)));
    found.forms.extend(forms.map(|form| term_id(&form)));
    if alphabet == Alphabet::Cyrillic {
        found.parts.extend(prefix(&plain));
    }
    Some(found)
}

fn is_dropped(word: &str) -> bool {
    word == "_" || word.chars().count() > MAX_CHARS
}

/// The term of a word's first characters, which differs from the term of a word with these characters.
fn prefix(word: &str) -> Option<u32> {
    let end = word.char_indices().nth(PREFIX - 1).map(|(at, c)| at + c.len_utf8())?;
    Some(term_id(&format!("{}\u{1}", &word[..end])))
}

/// The terms of all beginnings and ends of a word that may be words themselves: "zahnarzt" and "termin" of "zahnarzttermin".
fn compound_parts(word: &str) -> Vec<u32> {
    let cuts: Vec<usize> = word.char_indices().map(|(at, _)| at).collect();
    let len = cuts.len();
    // The rest is at least three characters long: "Haustür".
    let lengths = MIN_PART..len.saturating_sub(2).max(MIN_PART);
    lengths.flat_map(|part| [term_id(&word[..cuts[part]]), term_id(&word[cuts[len - part]..])]).collect()
}
