//! Forms of the same text in Unicode: `é` may be one character or two. Texts are compared in NFC, without the byte order
//! marks that some programs write around them.
//!
//! Not in NFKC: it makes different texts equal (`ﬁ` and `fi`, `①` and `1`), and two owners must never become one.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The byte order mark. Some programs write it before or into a text, to which it does not belong.
pub const BOM: char = '\u{feff}';

/// Whether a text has nothing that can be seen: it is empty, or has only white space, controls and characters without a
/// shape, such as the zero-width space.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || char.is_control() || is_invisible(char))
}

/// Unicode's characters that are ignored in display (`Default_Ignorable_Code_Point`), and the empty Braille pattern.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | BOM | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text in NFC.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// Whether two texts are equal in NFC.
pub fn is_same_text(a: &str, b: &str) -> bool {
    a == b || (!(a.is_ascii() && b.is_ascii()) && nfc(a) == nfc(b))
}

/// The forms in which an id may be stored, each once: as given, composed (NFC), decomposed (NFD).
pub fn id_forms(id: &str) -> Vec<String> {
    let mut forms = vec![id.to_owned()];
    if !id.is_ascii() {
        for form in [nfc(id).into_owned(), id.nfd().collect()] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_texts_are_the_same_and_others_are_not() {
        for (a, b, same) in [
            ("jose\u{301}", "jos\u{e9}", true),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}", true),
            ("\u{212b}", "\u{c5}", true),
            ("\u{ff41}na", "ana", false),
            ("\u{fb01}n", "fin", false),
            ("Ana", "ana", false),
            ("", "", true),
        ] {
            assert_eq!(is_same_text(a, b), same, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_text_without_visible_characters_is_blank() {
        for text in
            ["", " \n\t", "\u{a0}\u{200b}", "\u{feff}", "\u{3164}", "\u{2800} ", "\u{0}", "\u{2060}\u{ad}", "\u{fe0f}"]
        {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", ".", "\u{200b}a", "\u{1f44d}\u{fe0f}", "\u{301}", "\u{1f468}\u{200d}\u{1f469}", "\u{e000}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn ids_have_up_to_three_forms() {
        assert_eq!(id_forms("ana"), ["ana"]);
        assert_eq!(id_forms("jos\u{e9}"), ["jos\u{e9}", "jose\u{301}"]);
        assert_eq!(id_forms("e\u{301}\u{e9}").len(), 3);
    }
}
