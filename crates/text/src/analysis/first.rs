//! The terms of version 1, which older stores have until their terms are made again.

use super::pairs;
use crate::tokenize::{Runs, is_emoji, stem_if_kept, term_id, term_ids};
use crate::unicode::{is_mark, is_word};

/// The terms of [`VERSION`](super::VERSION) 1 of the index: English stems of all words, and pairs in scripts without spaces.
///
/// Memories that were stored with them are found by them.
pub fn first_terms(text: &str) -> Vec<u32> {
    if text.is_ascii() {
        return term_ids(text);
    }
    let mut ids = Vec::with_capacity(text.len() / 8);
    for (_, run) in Runs::new(text, |c| is_word(c) || is_mark(c)) {
        let mut run = run.to_lowercase();
        run.retain(|c| !is_mark(c) || pairs::belongs_to_word(c));
        for part in run.split(|c| !is_word(c) && !is_mark(c)) {
            pairs::split_word(part, |piece, is_word| {
                if is_word {
                    ids.extend(stem_if_kept(piece).map(|stem| term_id(&stem)));
                } else {
                    ids.push(term_id(piece));
                }
            });
        }
    }
    ids.extend(text.chars().filter(|&c| is_emoji(c)).map(|c| term_id(c.encode_utf8(&mut [0; 4]))));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_terms_are_made_again() {
        let check = |text: &str, expected: &[&str]| {
            let expected: Vec<u32> = expected.iter().map(|term| term_id(term)).collect();
            assert_eq!(first_terms(text), expected, "{text:?}");
        };
        check("東京タワー", &["東京", "京タ", "タワ", "ワー"]);
        check("猫 が", &["猫", "が"]);
        check("私はRustを使う", &["私は", "rust", "を使", "使う"]);
        check("2023年5月", &["2023", "年", "5", "月"]);
        check("서울에서", &["서울", "울에", "에서"]);
        // Thai keeps its vowel signs and drops its tone marks.
        check("ที่นี่", &["ที", "\u{e35}น", "นี"]);
        // Hindi keeps its vowel signs and drops the virama; accents in NFD and the points of Arabic are dropped.
        check("हिन्दी", &["हिनदी"]);
        check("re\u{301}sume\u{301}s 1\u{fe0f}\u{20e3}", &["resum", "1"]);
        check("كِتَاب", &["كتاب"]);
        check("Москва не сразу", &["москва", "не", "сразу"]);
    }
}
