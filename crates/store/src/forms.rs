//! Forms of the same text in Unicode: `é` may be one character or two. Texts are compared in NFC.
//!
//! Not in NFKC: it makes different texts equal (`ﬁ` and `fi`, `①` and `1`), and two owners must never become one.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

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
    fn ids_have_up_to_three_forms() {
        assert_eq!(id_forms("ana"), ["ana"]);
        assert_eq!(id_forms("jos\u{e9}"), ["jos\u{e9}", "jose\u{301}"]);
        assert_eq!(id_forms("e\u{301}\u{e9}").len(), 3);
    }
}
