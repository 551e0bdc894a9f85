//! Words that the rules know: those without content, and those that people use of themselves.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Number of words that are neither function words nor small talk.
pub(super) fn content_words(sentence: &str) -> usize {
    static SMALL_TALK: LazyLock<HashSet<u32>> = LazyLock::new(|| {
        SMALL_TALK_WORDS.split_whitespace().flat_map(|word| mnemon_text::index_terms(word).words).collect()
    });
    if !sentence.contains(char::is_alphanumeric) {
        return 0;
    }
    mnemon_text::index_terms(sentence).words.iter().filter(|term| !SMALL_TALK.contains(term)).count()
}

/// Whether a word is one that people use of themselves.
pub(super) fn is_own_word(word: &str) -> bool {
    [
        "i", "i'm", "i've", "i'd", "i'll", "my", "we", "we're", "we've", "our", "ich", "mein", "meine", "je", "mon",
        "yo", "mi",
    ]
    .contains(&word)
}

/// A word in lower case with a plain apostrophe.
pub(super) fn plain_word(word: &str) -> String {
    word.to_lowercase().replace('\u{2019}', "'")
}

/// Words of politeness and small talk, which state nothing.
const SMALL_TALK_WORDS: &str = "hi hello hey howdy greetings morning evening bye goodbye cheers thanks thank thx ty welcome \
    please sorry wow whoa oh ooh ah aw aww ha haha hahaha lol hmm hm um uh yeah yep yup yes no nope ok okay k sure fine \
    great good nice cool awesome amazing fantastic wonderful excellent perfect lovely sweet brilliant incredible \
    impressive inspiring interesting fun funny glad happy hear hearing sound sounds really absolutely definitely totally \
    exactly certainly course right true indeed agree agreed well luck congrats congratulations wish best care talk later \
    soon catch chat see keep appreciate anytime problem worries worry way go stuff thing things lot bit gosh god omg \
    yay hooray tell told let know think guess mean look looks like forward great-job job proud support hope help assist \
    question questions ask anything else today day feel free hola buenos buenas días tardes noches gracias";
