//! Statements inside of questions: "I live in Bergen, right?".

mod languages;

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_segmentation::UnicodeSegmentation;

use self::languages::{
    ASKING_BEGINNINGS, ASKING_WORDS, OPENINGS, OWN_BEGINNINGS, OWN_WORDS, TAGS, THAT, WEAK_OPENINGS,
};
use super::words::{content_words, is_own_word, plain_word};

/// Maximum number of words of a tag question.
const MAX_TAG_WORDS: usize = 10;

/// Whether a question holds a statement: one in the first person before it ("I'm vegan, what can I eat?"), one about others
/// with a tag question ("Ben plays chess, doesn't he?"), or one that it takes as given ("Did you know that Ben plays
/// chess?"). A tag after "You …" really asks.
pub(super) fn holds_a_statement(sentence: &str) -> bool {
    let is_mark =
        |char| matches!(char, ',' | ';' | ':' | '\u{2013}' | '\u{2014}' | '\u{2026}' | '，' | '、' | '،' | '؛' | '；');
    let clauses: Vec<Vec<String>> = sentence
        .split(|char| is_mark(char) || char == '¿')
        .flat_map(|clause| clause.split(" - "))
        .flat_map(|clause| clause.split("..."))
        .map(|clause| clause.unicode_words().map(plain_word).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    let Some((last, before)) = clauses.split_last() else { return false };
    if before.iter().any(|words| is_own_statement(after_opening(words))) || takes_as_given(&clauses.concat()) {
        return true;
    }
    // In Spanish only what follows the inverted mark asks.
    if let Some((statement, _)) = sentence.split_once('¿')
        && content_words(statement) >= 2
    {
        return true;
    }
    if is_tag(last) {
        let statement = before.iter().map(|words| after_opening(words)).find(|words| states(words));
        return statement.is_some_and(|words| !begins_a_question(words));
    }
    // Without a comma: "I live in Bergen right?".
    let words = after_opening(last);
    let has_tag = (1..=MAX_TAG_WORDS).any(|count| words.len() > count && is_tag(&words[words.len() - count..]));
    before.is_empty() && has_tag && is_own_statement(words)
}

/// Whether the words are a question that takes a statement as given: "Can you believe I got the job?".
fn takes_as_given(words: &[String]) -> bool {
    static STRONG: LazyLock<HashSet<String>> = LazyLock::new(|| phrases(OPENINGS));
    static WEAK: LazyLock<HashSet<String>> = LazyLock::new(|| phrases(WEAK_OPENINGS));
    static JOINING: LazyLock<HashSet<&str>> = LazyLock::new(|| words_of(THAT));
    let words = after_opening(words);
    let opening = |known: &HashSet<String>| {
        (1..words.len().min(MAX_TAG_WORDS)).rev().find(|count| known.contains(&words[..*count].join(" ")))
    };
    let (count, is_strong) = match (opening(&STRONG), opening(&WEAK)) {
        (Some(count), _) => (count, true),
        (None, Some(count)) => (count, false),
        (None, None) => return false,
    };
    let rest = &words[count..];
    let joined = rest.split_first().filter(|(word, _)| JOINING.contains(word.as_str())).map(|(_, rest)| rest);
    let is_given = joined.is_some() || (is_strong && content_words(&spoken(rest)) >= 2);
    let statement = joined.unwrap_or(rest);
    is_own_statement(statement) || (is_given && states(statement) && !begins_a_question(statement))
}

/// The phrases of a table, each as its words with a space between them.
fn phrases(table: &[&str]) -> HashSet<String> {
    let phrase = |text: &str| text.unicode_words().map(plain_word).collect::<Vec<_>>().join(" ");
    table.iter().flat_map(|row| row.split(';')).map(phrase).collect()
}

fn words_of(table: &[&'static str]) -> HashSet<&'static str> {
    table.iter().flat_map(|row| row.split_whitespace()).collect()
}

/// The words as a text. Those of languages without spaces are single characters.
fn spoken(words: &[String]) -> String {
    let is_unspaced = |word: &String| {
        let mut chars = word.chars();
        chars.next().is_some_and(
            |char| matches!(char, '\u{e00}'..='\u{eff}' | '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'),
        )
    };
    words.join(if words.iter().any(is_unspaced) { "" } else { " " })
}

/// Whether a text or its first word is in one of these tables.
fn begins_with(words: &[String], first_words: &HashSet<&str>, beginnings: &[&str]) -> bool {
    let is_first = words.first().is_some_and(|first| first_words.contains(first.as_str()));
    is_first || beginnings.iter().any(|beginning| spoken(words).starts_with(beginning))
}

/// Whether the words of a clause state something about the speaker: "I live in Bergen", "our dog is sick", but not "my
/// friend".
fn is_own_statement(words: &[String]) -> bool {
    static OWN: LazyLock<HashSet<&str>> = LazyLock::new(|| words_of(OWN_WORDS));
    let Some(first) = words.first() else { return false };
    match first.as_str() {
        "my" | "our" | "mein" | "meine" | "mon" | "ma" | "mi" | "mijn" | "min" | "mitt" | "мой" | "моя" | "мій" => {
            content_words(&words.join(" ")) > 1
        }
        _ => {
            (is_own_word(first) || first.starts_with("j'") || begins_with(words, &OWN, OWN_BEGINNINGS)) && states(words)
        }
    }
}

/// Whether words are a tag question: "right?", "you know?", "isn't it?", "do they not?", "nicht wahr?".
fn is_tag(words: &[String]) -> bool {
    static OTHER_LANGUAGES: LazyLock<HashSet<String>> = LazyLock::new(|| phrases(TAGS));
    if OTHER_LANGUAGES.contains(&words.join(" ")) {
        return true;
    }
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

/// Whether a sentence with these words asks, or is about the listener.
fn begins_a_question(words: &[String]) -> bool {
    static ASKING: LazyLock<HashSet<&str>> = LazyLock::new(|| words_of(ASKING_WORDS));
    let Some(word) = words.first().map(String::as_str) else { return false };
    if word.starts_with("you") || begins_with(words, &ASKING, ASKING_BEGINNINGS) {
        return true;
    }
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
    content_words(&spoken(words)) > words.iter().filter(|word| asks.contains(&word.as_str())).count()
}
