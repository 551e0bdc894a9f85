//! Statements that end in a question: "I live in Bergen, right?".

use unicode_segmentation::UnicodeSegmentation;

use super::words::{content_words, is_own_word, plain_word};

/// Maximum number of words of a tag question.
const MAX_TAG_WORDS: usize = 3;

/// Whether a question follows a statement in its sentence: one in the first person ("I'm vegan, what can I eat?"), or one
/// about others with a tag question ("Ben plays chess, doesn't he?"). A tag after "You …" really asks.
pub(super) fn states_before_asking(sentence: &str) -> bool {
    let clauses: Vec<Vec<String>> = sentence
        .split([',', ';', ':', '\u{2013}', '\u{2014}', '\u{2026}', '，', '、'])
        .flat_map(|clause| clause.split(" - "))
        .flat_map(|clause| clause.split("..."))
        .map(|clause| clause.unicode_words().map(plain_word).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    let Some((last, before)) = clauses.split_last() else { return false };
    if before.iter().any(|words| is_own_statement(after_opening(words))) {
        return true;
    }
    if is_tag(last) {
        let statement = before.iter().map(|words| after_opening(words)).find(|words| states(words));
        return statement.is_some_and(|words| !begins_a_question(&words[0]) && !words[0].starts_with("you"));
    }
    // Without a comma: "I live in Bergen right?".
    let words = after_opening(last);
    let has_tag = (1..=MAX_TAG_WORDS).any(|count| words.len() > count && is_tag(&words[words.len() - count..]));
    before.is_empty() && has_tag && is_own_statement(words)
}

/// Whether the words of a clause state something about the speaker: "I live in Bergen", "our dog is sick", but not "my
/// friend".
fn is_own_statement(words: &[String]) -> bool {
    let Some(first) = words.first() else { return false };
    match first.as_str() {
        "my" | "our" | "mein" | "meine" | "mon" | "mi" => content_words(&words.join(" ")) > 1,
        _ => (is_own_word(first) || first.starts_with("j'")) && states(words),
    }
}

/// Whether words are a tag question: "right?", "you know?", "isn't it?", "do they not?".
fn is_tag(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = match words.as_slice() {
        ["and" | "but" | "or" | "so", rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    match words {
        [
            "right" | "ok" | "okay" | "yeah" | "yes" | "no" | "eh" | "huh" | "hm" | "hey" | "innit" | "correct"
            | "true" | "really" | "see" | "remember" | "agreed" | "y'know" | "alright",
        ] => true,
        ["you", "know" | "see"]
        | ["did", "you", "know"]
        | ["know", "what", "i", "mean"]
        | ["am", "i", "right"]
        | ["all", "right"]
        | ["amirite"] => true,
        ["is", "that", "right" | "ok" | "okay" | "correct"] | ["if", "you", "know", "what", "i", "mean"] => true,
        ["don't" | "wouldn't", "you", "think" | "say" | "agree"] => true,
        [verb, subject] | [verb, subject, "not"] => is_auxiliary(verb) && is_pronoun(subject),
        _ => false,
    }
}

/// Whether a word is an auxiliary verb, also with "n't".
fn is_auxiliary(word: &str) -> bool {
    let positive = match word {
        "can't" => "can",
        "won't" => "will",
        "shan't" => "shall",
        "ain't" => "is",
        other => other.strip_suffix("n't").unwrap_or(other),
    };
    ["am", "is", "are", "was", "were", "do", "does", "did", "have", "has", "had", "can", "could", "will", "would"]
        .contains(&positive)
        || ["shall", "should", "may", "might", "must", "need"].contains(&positive)
}

fn is_pronoun(word: &str) -> bool {
    ["i", "you", "he", "she", "it", "we", "they", "there", "that", "this", "these", "those", "one"].contains(&word)
}

/// Whether a sentence that begins with this word asks.
fn begins_a_question(word: &str) -> bool {
    let asks = ["who", "whose", "whom", "what", "which", "when", "where", "why", "how", "what's", "who's", "where's"];
    is_auxiliary(word) || asks.contains(&word) || ["how's", "when's", "any", "if", "whether"].contains(&word)
}

/// The words of a clause after words that only lead to it.
fn after_opening(words: &[String]) -> &[String] {
    let opens =
        ["and", "but", "so", "well", "because", "since", "hey", "hi", "oh", "also", "actually", "now", "anyway"];
    let start = words.iter().take_while(|word| opens.contains(&word.as_str())).count();
    &words[start..]
}

/// Whether the words of a clause have content beyond that somebody asks.
fn states(words: &[String]) -> bool {
    let asks = ["wonder", "wondering", "wondered", "curious", "ask", "asking", "asked", "confused"];
    content_words(&words.join(" ")) > words.iter().filter(|word| asks.contains(&word.as_str())).count()
}
