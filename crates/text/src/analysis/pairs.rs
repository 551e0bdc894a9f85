//! Splits scripts without spaces between words into overlapping pairs of characters.
//!
//! Lucene's `CJKBigramFilter` indexes the same pairs: a word of two or more characters is found at any position.

/// Splits a word. Calls `each` with each piece, and whether the piece is a word of a script with spaces.
///
/// A run of a script without spaces is split into its overlapping pairs; a run of one character is that character.
pub(super) fn split_word(word: &str, mut each: impl FnMut(&str, bool)) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let spaceless = is_spaceless(first);
        let end = rest.find(|c| is_spaceless(c) != spaceless).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        if spaceless { pairs(run, |pair| each(pair, false)) } else { each(run, true) }
    }
}

/// Whether a mark is part of the word: true for vowel signs; false for accents, vowel points and tone marks, which are
/// optional in writing.
pub(super) fn belongs_to_word(mark: char) -> bool {
    // The points of Hebrew and Arabic are optional in writing, although Unicode classifies them as alphabetic.
    mark.is_alphabetic()
        && !matches!(mark, '\u{345}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}')
}

/// Calls `each` with the overlapping pairs of characters of a run; a run of one character is that character.
pub(super) fn pairs(run: &str, mut each: impl FnMut(&str)) {
    let starts = || run.char_indices().map(|(at, _)| at);
    let ends = starts().skip(2).chain([run.len()]);
    if starts().nth(1).is_none() {
        return each(run);
    }
    for (start, end) in starts().zip(ends) {
        each(&run[start..end]);
    }
}

/// Han, bopomofo, kana, Hangul, Thai, Lao, Khmer, Myanmar. (Korean has spaces, but glues particles to its nouns.)
pub(super) fn is_spaceless(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{303c}' | '\u{3040}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}'
        | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: &[&str]) {
        let mut found = Vec::new();
        split_word(word, |piece, is_word| found.push(format!("{piece}{}", if is_word { "!" } else { "" })));
        assert_eq!(found, expected, "{word:?}");
    }

    #[test]
    fn runs_become_pairs() {
        check("", &[]);
        check("猫", &["猫"]);
        check("東京", &["東京"]);
        check("東京都", &["東京", "京都"]);
        check("rust言語2024年版", &["rust!", "言語", "2024!", "年版"]);
        check("привет", &["привет!"]);
    }

    #[test]
    fn vowel_signs_belong_to_words_and_accents_do_not() {
        for mark in ['\u{93f}', '\u{e31}', '\u{e35}'] {
            assert!(belongs_to_word(mark), "{mark:?}");
        }
        for mark in ['\u{301}', '\u{64b}', '\u{5b0}', '\u{e48}', '\u{fe0f}', '\u{20e3}'] {
            assert!(!belongs_to_word(mark), "{mark:?}");
        }
    }
}
