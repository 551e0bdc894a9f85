//! Words, stems and term ids, equal to those of fastembed's `Qdrant/bm25` (0.9.1).

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use crate::stopwords::is_stopword;
use crate::unicode::is_word;

/// Maximum number of characters of a token; fastembed drops longer ones.
const MAX_TOKEN_CHARS: usize = 40;

/// The words of a text in lower case, in order, including stopwords and long words.
///
/// A word is a run of [word characters](crate::unicode::is_word). As in fastembed, the text is split before it is
/// lowercased and again afterwards, because lowercasing `İ` adds a combining dot, which is not a word character.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.to_owned()));
    words
}

/// The stems of a text's words, without stopwords, lone underscores and words longer than 40 characters.
///
/// Order and duplicates are kept: the number of terms is the document length in BM25.
pub fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for_each_word(text, |word| {
        if let Some(stem) = stem_if_kept(word) {
            terms.push(stem.into_owned());
        }
    });
    terms
}

/// The [`term_id`]s of [`terms`], computed without allocating a string for each.
pub fn term_ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::with_capacity(text.len() / 8);
    for_each_word(text, |word| ids.extend(stem_if_kept(word).map(|stem| term_id(&stem))));
    ids
}

/// Whether a character is a pictograph, a symbol or a letter of a flag. Skin tones only modify others and are not.
pub(crate) fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1faff}')
        && !matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// The Snowball English (Porter 2) stem of a word in lower case.
pub fn stem(word: &str) -> String {
    stemmed(word).into_owned()
}

/// The dimension of a stem in the sparse vector: |MurmurHash3_x86_32(stem, seed 0)|, where the hash is a signed number.
pub fn term_id(stem: &str) -> u32 {
    murmur3_x86_32(stem.as_bytes()).cast_signed().unsigned_abs()
}

fn stemmed(word: &str) -> Cow<'_, str> {
    static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    ENGLISH.stem(word)
}

/// The stem of a word, unless fastembed drops the word.
pub(crate) fn stem_if_kept(word: &str) -> Option<Cow<'_, str>> {
    // fastembed drops tokens of one punctuation character; the only one that is a word character is "_".
    let is_dropped =
        word == "_" || is_stopword(word) || (word.len() > MAX_TOKEN_CHARS && word.chars().count() > MAX_TOKEN_CHARS);
    if is_dropped {
        return None;
    }
    Some(stemmed(word)).filter(|stem| !stem.is_empty())
}

fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    for (_, run) in Runs::new(text, is_word) {
        if run.is_ascii() {
            lower_ascii(run, &mut each);
        } else {
            run.to_lowercase().split(|c| !is_word(c)).filter(|word| !word.is_empty()).for_each(&mut each);
        }
    }
}

/// Calls `each` with `run` in lower case. It is copied, into a thread-local buffer, only if it has upper-case letters.
fn lower_ascii(run: &str, each: impl FnOnce(&str)) {
    thread_local!(static BUFFER: RefCell<String> = const { RefCell::new(String::new()) });
    if !run.bytes().any(|b| b.is_ascii_uppercase()) {
        return each(run);
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.push_str(run);
        buffer.make_ascii_lowercase();
        each(buffer);
    });
}

/// The runs of characters of one class, each with its offset in bytes.
pub(crate) struct Runs<'a, F> {
    text: &'a str,
    at: usize,
    class: F,
}

impl<'a, F: Fn(char) -> bool> Runs<'a, F> {
    pub(crate) fn new(text: &'a str, class: F) -> Self {
        Self { text, at: 0, class }
    }
}

impl<'a, F: Fn(char) -> bool> Iterator for Runs<'a, F> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let start = self.at + self.text[self.at..].find(&self.class)?;
        let rest = &self.text[start..];
        let run = &rest[..rest.find(|c| !(self.class)(c)).unwrap_or(rest.len())];
        self.at = start + run.len();
        Some((start, run))
    }
}

/// Austin Appleby's MurmurHash3_x86_32 with seed 0 (public domain). The crate `murmur3` hashes an `io::Read`; therefore each
/// word could fail; a test checks that the hashes are the same.
fn murmur3_x86_32(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scramble = |block: u32| block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = 0u32;
    for &block in blocks {
        hash ^= scramble(u32::from_le_bytes(block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= scramble(tail.iter().rev().fold(0, |block, &byte| block << 8 | u32::from(byte)));
    hash ^= bytes.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_python() {
        let check = |text: &str, expected: &[&str]| assert_eq!(words(text), expected, "{text:?}");
        check("", &[]);
        check("Maria's 3.5 kg", &["maria", "s", "3", "5", "kg"]);
        check("snake_case __init__ _", &["snake_case", "__init__", "_"]);
        check("Größe ΟΔΟΣ Москва", &["größe", "οδος", "москва"]);
        check("İstanbul", &["i", "stanbul"]);
        check("cafe\u{301}s", &["cafe", "s"]);
        check("東京タワー", &["東京タワー"]);
    }

    #[test]
    fn terms_are_those_of_fastembed() {
        let check = |text: &str, expected: &[&str]| assert_eq!(terms(text), expected, "{text:?}");
        check("The cats and the CATS are running", &["cat", "cat", "run"]);
        check("a _ b __ c", &["b", "__", "c"]);
        check(&format!("{} {}", "x".repeat(40), "y".repeat(41)), &[&"x".repeat(40)]);
        check(&format!("{} {}", "é".repeat(40), "é".repeat(41)), &[&"é".repeat(40)]);
    }

    #[test]
    fn term_ids_are_those_of_fastembed() {
        // mmh3.hash gives -156908512 and 613153351 for the first two.
        assert_eq!(term_id("foo"), 156_908_512);
        assert_eq!(term_id("hello"), 613_153_351);
        assert_eq!(term_id(""), 0);
    }
}
