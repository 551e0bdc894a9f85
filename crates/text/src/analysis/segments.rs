//! Splits a text into words, and words into parts of one kind of script.

use super::pairs::is_spaceless;
use crate::tokenize::Runs;
use crate::unicode::{is_mark, is_word};

/// How a script forms words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Words have spaces between them.
    Spaced,
    /// Words have spaces between them and particles glued to them.
    Hangul,
    /// Han characters, hiragana, katakana, bopomofo.
    HanAndKana,
    /// Thai, Lao, Khmer, Myanmar.
    Indochina,
}

impl Script {
    fn of(c: char) -> Self {
        match c {
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' => {
                Self::Hangul
            }
            '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{a9e0}'..='\u{a9ff}'
            | '\u{aa60}'..='\u{aa7f}' => Self::Indochina,
            c if is_spaceless(c) => Self::HanAndKana,
            _ => Self::Spaced,
        }
    }
}

/// The words of a text, split where the kind of script changes.
pub(super) fn segments(text: &str) -> impl Iterator<Item = (Script, &str)> {
    Runs::new(text, |c| is_word(c) || is_mark(c)).flat_map(|(_, run)| {
        let mut rest = run;
        std::iter::from_fn(move || {
            let script = Script::of(rest.chars().next()?);
            let end = rest.find(|c| Script::of(c) != script).unwrap_or(rest.len());
            let (segment, after) = rest.split_at(end);
            rest = after;
            Some((script, segment))
        })
    })
}
