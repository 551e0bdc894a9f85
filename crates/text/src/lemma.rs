//! Lemmas of a text for keyword search, as mem0 stores them.

mod inflection;
mod stop_words;

pub(crate) use inflection::lemma;
pub(crate) use stop_words::is_stop_word;

use crate::tag::{atoms, is_edge_punctuation, is_icon, tags, tokenize};

/// The lemmas of `text` in lower case, joined by blanks: the input of the sparse encoder.
///
/// Follows what mem0 does with spaCy's small English model. Punctuation, stop words, and tokens with characters other than
/// letters and digits ("3.14", "AT&T") are dropped. A token in "-ing" with another lemma is appended to that lemma ("plan
/// planning"). Words of other languages are only lowercased, including those of scripts that write vowels as combining
/// marks. Takes time linear in the length of `text`.
pub fn lemmatize(text: &str) -> String {
    let text = text.to_lowercase();
    let tokens = tokenize(&text);
    let atoms = atoms(&text, &tokens);
    let tags = tags(&atoms);
    let mut lemmas = String::with_capacity(text.len());
    for (token, tag) in tokens.iter().zip(tags) {
        let word = token.of(&text);
        if token.is_space || is_stop_word(word) {
            continue;
        }
        let lemma = lemma(word, tag);
        if is_word(&lemma) {
            push(&mut lemmas, &lemma);
        }
        if word.ends_with("ing") && lemma != word && is_word(word) {
            push(&mut lemmas, word);
        }
    }
    lemmas
}

fn push(lemmas: &mut String, lemma: &str) {
    if !lemmas.is_empty() {
        lemmas.push(' ');
    }
    lemmas.push_str(lemma);
}

/// Whether a token has letters and digits only; beyond ASCII also the combining marks of letters.
fn is_word(token: &str) -> bool {
    if token.is_ascii() {
        return token.bytes().all(|b| b.is_ascii_alphanumeric());
    }
    token.contains(char::is_alphanumeric)
        && token.chars().all(
            |c| {
                if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || is_mark(c) }
            },
        )
}

/// Whether a character beyond ASCII is a combining mark or joiner, which occur inside words.
fn is_mark(c: char) -> bool {
    !is_edge_punctuation(c)
        && !is_icon(c)
        && matches!(c, '\u{300}'..='\u{36F}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5C7}'
            | '\u{610}'..='\u{61A}' | '\u{64B}'..='\u{65F}' | '\u{670}' | '\u{6D6}'..='\u{6ED}'
            | '\u{711}'..='\u{74A}' | '\u{900}'..='\u{D83}' | '\u{E31}'..='\u{E4E}' | '\u{EB1}'..='\u{ECE}'
            | '\u{F18}'..='\u{FBC}' | '\u{102B}'..='\u{109D}' | '\u{1712}'..='\u{17DD}' | '\u{1AB0}'..='\u{1AFF}'
            | '\u{1DC0}'..='\u{1DFF}' | '\u{200C}' | '\u{200D}' | '\u{20D0}'..='\u{20F0}' | '\u{3099}' | '\u{309A}'
            | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(lemmatize(text), expected);
    }

    #[test]
    fn stop_words_and_punctuation_are_dropped() {
        check("The cats are on the table.", "cat table");
        check("It isn't 3.14, but 42!", "42");
        check("...", "");
    }

    #[test]
    fn a_token_in_ing_is_appended_to_its_lemma() {
        check("They were planning a trip.", "plan planning trip");
    }

    #[test]
    fn other_scripts_are_kept() {
        check("我喜欢喝乌龙茶。", "我喜欢喝乌龙茶");
        check("Мне нравится Москва.", "мне нравится москва");
        check("أحب القهوة بدون سكر.", "أحب القهوة بدون سكر");
        check("मुझे पहाड़ पसंद हैं।", "मुझे पहाड़ पसंद हैं");
        check("私はカメラ、犬", "私はカメラ 犬");
    }
}
