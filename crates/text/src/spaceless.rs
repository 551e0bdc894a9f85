//! Scripts written without spaces between words, cut into overlapping pairs of characters.
//!
//! Pairs are what Lucene's `CJKBigramFilter` indexes: a word of two or more characters is found wherever it stands.

/// Cuts a word, handing over each piece and whether it is a word of a script with spaces.
///
/// A run of a script without spaces gives its overlapping pairs, a run of one character that character.
pub(crate) fn pieces(word: &str, mut each: impl FnMut(&str, bool)) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let spaceless = is_spaceless(first);
        let end = rest.find(|c| is_spaceless(c) != spaceless).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        if spaceless { pairs(run, |pair| each(pair, false)) } else { each(run, true) }
    }
}

/// True for the marks a word is read by (vowel signs), false for accents, vowel points and tone marks,
/// which one writer sets and the next leaves out.
pub(crate) fn belongs_to_word(mark: char) -> bool {
    // The points of Hebrew and Arabic, alphabetic to Unicode, are optional in writing.
    mark.is_alphabetic()
        && !matches!(mark, '\u{345}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}')
}

fn pairs(run: &str, mut each: impl FnMut(&str)) {
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
fn is_spaceless(c: char) -> bool {
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
        pieces(word, |piece, whole| found.push(format!("{piece}{}", if whole { "!" } else { "" })));
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
