//! Brings a text into the one form in which texts are compared.

use std::borrow::Cow;
use std::ops::Deref;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_canonical;

use super::pairs::belongs_to_word;
use crate::unicode::is_mark;

/// A text in NFKC and lower case, without invisible characters and optional marks.
pub(super) struct Folded<'t>(Cow<'t, str>);

impl<'t> Folded<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        if text.is_ascii() {
            // Words are lowercased when they are split off.
            return Self(Cow::Borrowed(text));
        }
        let mut folded = String::with_capacity(text.len());
        for c in text.chars().filter(|&c| !is_invisible(c)).nfkc().flat_map(char::to_lowercase) {
            match c {
                // Lowercasing `İ` adds a dot. Accents, points and tone marks that remain separate are optional in writing.
                c if is_mark(c) && !belongs_to_word(c) => {}
                // Tatweel only stretches a word.
                '\u{640}' => {}
                c => folded.push(c),
            }
        }
        Self(Cow::Owned(folded))
    }
}

impl Deref for Folded<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A word without accents, and with letters that are often written otherwise replaced: `ß` by `ss`, `ı` by `i`, …
pub(super) fn without_accents(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let mut plain = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'ı' => plain.push('i'),
            'ς' => plain.push('σ'),
            // Separate letters, although Unicode decomposes them.
            'й' | 'ї' => plain.push(c),
            'أ' | 'إ' | 'آ' | 'ٱ' => plain.push('ا'),
            'ى' | 'ی' => plain.push('ي'),
            'ک' => plain.push('ك'),
            'ة' | 'ۀ' => plain.push('ه'),
            'ँ' => plain.push('ं'),
            '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{52f}' | '\u{1e00}'..='\u{1fff}' => {
                decompose_canonical(c, |c| {
                    if !is_mark(c) {
                        plain.push(c);
                    }
                });
            }
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// Whether a character is neither shown nor separates words: soft hyphen, word joiner, marks of direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_same_text_are_equal() {
        let check = |text: &str, expected: &str| assert_eq!(&*Folded::new(text), expected, "{text:?}");
        check("Ｔｏｋｙｏ ｶﾞｿﾘﾝ", "tokyo ガソリン");
        check("ﬁne ｃａｆé", "fine café");
        check("cafe\u{301}", "café");
        check("Zahn\u{ad}arzt", "zahnarzt");
        check("İstanbul", "istanbul");
        check("한국", "한국");
        check("\u{1112}\u{1161}\u{11ab}", "한");
        check("كِتـاب", "كتاب");
    }

    #[test]
    fn accents_are_dropped_from_letters_with_case() {
        let check = |word: &str, expected: &str| assert_eq!(without_accents(word), expected, "{word:?}");
        for (word, expected) in [
            ("köln", "koln"),
            ("straße", "strasse"),
            ("łódź", "lodz"),
            ("việt", "viet"),
            ("ёлка", "елка"),
            ("май", "май"),
            ("θάλασσας", "θαλασσασ"),
            ("ガ", "ガ"),
        ] {
            check(word, expected);
        }
    }
}
