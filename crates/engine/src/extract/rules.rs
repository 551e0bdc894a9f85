//! Extraction by rules, without a language model: keeps sentences that state something, verbatim, and skips small talk.
//!
//! A message is split into sentences. Greetings, thanks, exclamations without content, and questions that say nothing about
//! the person who asks are skipped; a statement that ends in a question ("I live in Bergen, right?") is kept. The remaining sentences become one fact, or several if the message is long. A short
//! answer is stored together with its question, and a sentence that begins with a pronoun together with the sentence before
//! it, so that each fact can be understood alone.

use std::sync::LazyLock;

use mnemon_store::Role;
use unicode_segmentation::UnicodeSegmentation;

use super::fact::Fact;
use crate::message::Message;

/// Maximum length of a fact in characters; a fact is not extended beyond it.
const MAX_FACT_CHARS: usize = 400;
/// The same if the next sentence begins with a pronoun.
const MAX_FACT_CHARS_WITH_PRONOUN: usize = 800;
/// An answer with fewer content words is stored with its question.
const SHORT_ANSWER_WORDS: usize = 3;
/// A question with this many content words is a statement too.
const STATING_QUESTION_WORDS: usize = 9;
/// A question in which the speaker mentions themselves, with this many content words, is a statement too.
const PERSONAL_QUESTION_WORDS: usize = 4;
/// Maximum length of a question that is stored with its answer, in characters.
const MAX_QUESTION_CHARS: usize = 200;

/// A question at the end of a message, which the next message may answer.
struct OpenQuestion<'m> {
    index: usize,
    message: &'m Message,
    text: String,
}

/// Extracts the facts of messages. Instructions and the output of tools have none: nobody said them.
pub(crate) fn extract_by_rules(messages: &[Message]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut open_question: Option<OpenQuestion<'_>> = None;
    for (index, message) in messages.iter().enumerate() {
        if message.role.is_instruction() || message.role.is_tool() {
            continue;
        }
        let sentences = split(&message.content);
        let statements: Vec<&str> = sentences.iter().copied().filter(|sentence| is_statement(sentence)).collect();
        let words: usize = statements.iter().map(|sentence| content_words(sentence)).sum();
        let is_answer =
            words < SHORT_ANSWER_WORDS && sentences.first().is_some_and(|first| !first.trim_end().ends_with('?'));
        let question = open_question
            .take()
            .filter(|asked| (&asked.message.role, &asked.message.name) != (&message.role, &message.name))
            .filter(|_| is_answer && (words > 0 || sentences.iter().any(|sentence| says_yes_or_no(sentence))));
        match question {
            Some(question) => {
                let answer = if statements.is_empty() { sentences.join("") } else { statements.join("") };
                let text = format!("\u{201c}{}\u{201d} \u{2013} {}", question.text, answer.trim());
                facts.push(fact(text, message, vec![question.index, index]));
            }
            None => facts.extend(join(&statements).into_iter().map(|text| fact(text, message, vec![index]))),
        }
        open_question = sentences
            .last()
            .map(|last| last.trim())
            .filter(|last| last.ends_with(['?', '？']))
            .filter(|last| last.chars().count() <= MAX_QUESTION_CHARS && content_words(last) > 0)
            .map(|last| OpenQuestion { index, message, text: last.to_owned() });
    }
    facts
}

fn fact(text: String, message: &Message, sources: Vec<usize>) -> Fact {
    let role = if message.role == Role::Assistant { Role::Assistant } else { Role::User };
    Fact { text, attributed_to: Some(role), sources, related: Vec::new(), supersedes: Vec::new() }
}

/// The sentences of a text, each with the white space after it.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n')
        .flat_map(UnicodeSegmentation::split_sentence_bounds)
        .filter(|sentence| !sentence.trim().is_empty())
        .collect()
}

/// Joins sentences into texts of limited length.
fn join(sentences: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for sentence in sentences {
        let max = if begins_with_pronoun(sentence) { MAX_FACT_CHARS_WITH_PRONOUN } else { MAX_FACT_CHARS };
        match texts.last_mut() {
            Some(text) if text.chars().count() + sentence.chars().count() <= max => text.push_str(sentence),
            _ => texts.push((*sentence).to_owned()),
        }
    }
    texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

/// Whether a sentence states something that may be worth storing.
fn is_statement(sentence: &str) -> bool {
    let words = content_words(sentence);
    let is_question = sentence.trim_end().trim_end_matches(['"', '\u{201d}', ')']).ends_with(['?', '？']);
    words > 0
        && (!is_question
            || words >= STATING_QUESTION_WORDS
            || (words >= PERSONAL_QUESTION_WORDS && is_personal(sentence))
            || states_before_asking(sentence))
}

/// Whether a question follows a statement in its sentence: one in the first person ("I'm vegan, what can I eat?"), or one
/// about others with a tag question ("Ben plays chess, doesn't he?"). A tag after "You …" really asks.
fn states_before_asking(sentence: &str) -> bool {
    let clauses: Vec<Vec<String>> = sentence
        .split([',', ';', ':', '\u{2013}', '\u{2014}', '\u{2026}', '，', '、'])
        .flat_map(|clause| clause.split(" - "))
        .flat_map(|clause| clause.split("..."))
        .map(|clause| clause.unicode_words().map(plain_word).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    let Some((last, before)) = clauses.split_last() else { return false };
    let is_own = |words: &[String]| words.first().is_some_and(|first| is_own_word(first) || first.starts_with("j'"));
    if before.iter().any(|words| is_own(after_opening(words)) && states(after_opening(words))) {
        return true;
    }
    if is_tag(last) {
        let statement = before.iter().map(|words| after_opening(words)).find(|words| states(words));
        return statement.is_some_and(|words| !begins_a_question(&words[0]) && !words[0].starts_with("you"));
    }
    // Without a comma: "I live in Bergen right?".
    let words = after_opening(last);
    let has_tag = (1..=MAX_TAG_WORDS).any(|count| words.len() > count && is_tag(&words[words.len() - count..]));
    before.is_empty() && has_tag && is_own(words)
}

/// Maximum number of words of a tag question.
const MAX_TAG_WORDS: usize = 3;

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
        ["you", "know" | "see"] | ["know", "what", "i", "mean"] | ["am", "i", "right"] | ["all", "right"] => true,
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

/// Whether the speaker mentions themselves or a number, as in "I earn $85,000, so can you give me advice?".
fn is_personal(sentence: &str) -> bool {
    sentence.contains(|char: char| char.is_ascii_digit())
        || sentence.unicode_words().any(|word| is_own_word(&plain_word(word)))
}

/// Whether a word is one that people use of themselves.
fn is_own_word(word: &str) -> bool {
    [
        "i", "i'm", "i've", "i'd", "i'll", "my", "we", "we're", "we've", "our", "ich", "mein", "meine", "je", "mon",
        "yo", "mi",
    ]
    .contains(&word)
}

/// A word in lower case with a plain apostrophe.
fn plain_word(word: &str) -> String {
    word.to_lowercase().replace('\u{2019}', "'")
}

/// Number of words that are neither function words nor small talk.
fn content_words(sentence: &str) -> usize {
    static SMALL_TALK: LazyLock<std::collections::HashSet<u32>> = LazyLock::new(|| {
        SMALL_TALK_WORDS.split_whitespace().flat_map(|word| mnemon_text::index_terms(word).words).collect()
    });
    if !sentence.contains(char::is_alphanumeric) {
        return 0;
    }
    mnemon_text::index_terms(sentence).words.iter().filter(|term| !SMALL_TALK.contains(term)).count()
}

fn says_yes_or_no(sentence: &str) -> bool {
    let first = sentence.unicode_words().next().unwrap_or_default().to_lowercase();
    ["yes", "yeah", "yep", "yup", "no", "nope", "never", "always", "ja", "nein", "sí", "oui", "non", "sim", "não"]
        .contains(&first.as_str())
}

/// Whether a sentence begins with a word that refers to the sentence before it.
fn begins_with_pronoun(sentence: &str) -> bool {
    let first = sentence.unicode_words().next().unwrap_or_default().to_lowercase();
    ["he", "she", "it", "they", "this", "that", "these", "those", "his", "her", "its", "their", "there", "then", "so"]
        .contains(&first.as_str())
}

/// Words of politeness and small talk, which state nothing.
const SMALL_TALK_WORDS: &str = "hi hello hey howdy greetings morning evening bye goodbye cheers thanks thank thx ty welcome \
    please sorry wow whoa oh ooh ah aw aww ha haha hahaha lol hmm hm um uh yeah yep yup yes no nope ok okay k sure fine \
    great good nice cool awesome amazing fantastic wonderful excellent perfect lovely sweet brilliant incredible \
    impressive inspiring interesting fun funny glad happy hear hearing sound sounds really absolutely definitely totally \
    exactly certainly course right true indeed agree agreed well luck congrats congratulations wish best care talk later \
    soon catch chat see keep appreciate anytime problem worries worry way go stuff thing things lot bit gosh god omg \
    yay hooray tell told let know think guess mean look looks like forward great-job job proud support hope help assist \
    question questions ask anything else today day feel free";

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(turns: &[(&str, &str)]) -> Vec<Message> {
        let message = |(speaker, text): &(&str, &str)| Message {
            role: if *speaker == "assistant" { Role::Assistant } else { Role::User },
            name: (!matches!(*speaker, "assistant" | "user")).then(|| (*speaker).to_owned()),
            content: (*text).into(),
            ..Message::default()
        };
        turns.iter().map(message).collect()
    }

    fn check(turns: &[(&str, &str)], expected: &[&str]) {
        let facts = extract_by_rules(&messages(turns));
        assert_eq!(facts.iter().map(|fact| fact.text.as_str()).collect::<Vec<_>>(), expected, "{turns:?}");
    }

    #[test]
    fn statements_are_kept_verbatim() {
        check(&[("user", "Hi! I moved to Lisbon in May. How are you?")], &["I moved to Lisbon in May."]);
        check(&[("user", "I'm vegan.")], &["I'm vegan."]);
        check(&[("user", "I have a cat. It is called Miso.")], &["I have a cat. It is called Miso."]);
        check(&[("user", "Ich wohne in Graz und spiele Cello.")], &["Ich wohne in Graz und spiele Cello."]);
        let long_question = "I'm Crystal, I earn $85,000 and live in Porto, so can you give me some advice?";
        check(&[("user", long_question)], &[long_question]);
        check(&[("user", "我住在里斯本。我有一只猫。")], &["我住在里斯本。我有一只猫。"]);
    }

    #[test]
    fn small_talk_and_questions_are_skipped() {
        for text in [
            "Hi there!",
            "Wow, that's awesome!",
            "Thanks a lot, bye!",
            "Really? That sounds great.",
            "You're welcome :)",
            "How was your day?",
            "Do you like the sea?",
            "What do you think I should say?",
            "I'm glad to hear that!",
            "",
            "  \n ",
            "👍",
            "Sure, no problem. Anything else?",
        ] {
            check(&[("user", text)], &[]);
        }
    }

    #[test]
    fn a_statement_with_a_question_after_it_is_kept() {
        for text in [
            "I live in Bergen, right?",
            "I live in Bergen right?",
            "I live in Bergen – right?",
            "I live in Bergen... right?",
            "I live in Bergen, you know?",
            "I live in Bergen, ok?",
            "I live in Bergen, okay?",
            "I live in Bergen, don't I?",
            "I live in Bergen, don\u{2019}t I?",
            "I'm vegan, remember?",
            "My sister is a nurse, isn't she?",
            "Ben plays chess, doesn't he?",
            "It rains a lot in Bergen, doesn't it?",
            "The kids can't swim, can they?",
            "Marta won the race, did she not?",
            "We never eat meat, do we?",
            "The ferry to Stavanger leaves at nine, correct?",
            "Hey, my train leaves at six, yeah?",
            "But I hate mushrooms, you see?",
            "I'm vegan, what can I eat?",
            "I live in Bergen, what should I wear?",
            "My dog is sick, any advice?",
            "Well, we adopted a cat, isn't that great?",
            "Ich wohne in Graz, oder?",
        ] {
            check(&[("user", text)], &[text]);
        }
        check(&[("user", "I live in Bergen. Any tips?")], &["I live in Bergen."]);
        check(&[("user", "I live in Bergen, right? It rains.")], &["I live in Bergen, right? It rains."]);
    }

    #[test]
    fn a_question_without_a_statement_is_not_kept() {
        for text in [
            "Is it cold in Oslo, or not?",
            "Is that right?",
            "Do you like tea, yes?",
            "Which city is the capital of Norway, you know?",
            "Can you call Ben, ok?",
            "Where do they live, Oslo?",
            "You live in Bergen, right?",
            "You're from Oslo, aren't you?",
            "Your dog is old, isn't it?",
            "I wonder, is it open?",
            "I'm curious, do you ski?",
            "Great, right?",
            "Nice, isn't it?",
            "Right?",
            "You know?",
            "Would Ben like chess, do you think?",
            "Tea, coffee or juice?",
        ] {
            check(&[("user", text)], &[]);
        }
    }

    #[test]
    fn a_short_answer_is_stored_with_its_question() {
        check(
            &[("Ana", "Nice! When did you move to Lisbon?"), ("Ben", "Last May!")],
            &["\u{201c}When did you move to Lisbon?\u{201d} \u{2013} Last May!"],
        );
        check(
            &[("assistant", "Are you allergic to nuts?"), ("user", "Yes.")],
            &["\u{201c}Are you allergic to nuts?\u{201d} \u{2013} Yes."],
        );
        check(&[("assistant", "How can I help?"), ("user", "Thanks!")], &[]);
        let long = "I moved there in May with my sister and two cats.";
        check(&[("Ana", "When did you move?"), ("Ben", long)], &[long]);
    }

    #[test]
    fn sources_and_roles_are_recorded() {
        let facts = extract_by_rules(&messages(&[
            ("user", "Where should we eat tapas?"),
            ("assistant", "Bar Alfalfa!"),
            ("user", "I am at work until six."),
        ]));
        let attributions: Vec<_> =
            facts.iter().map(|fact| (fact.attributed_to.clone().unwrap(), fact.sources.clone())).collect();
        assert_eq!(attributions, [(Role::Assistant, vec![0, 1]), (Role::User, vec![2])]);
    }

    #[test]
    fn long_messages_become_several_facts() {
        let text: String = (0..40).map(|n| format!("Fact number {n} tells of the harbour of Porto. ")).collect();
        let facts = extract_by_rules(&messages(&[("assistant", &text)]));
        assert!(
            facts.len() >= 4 && facts.iter().all(|fact| fact.text.chars().count() <= MAX_FACT_CHARS),
            "{}",
            facts.len()
        );
        let all: Vec<&str> = facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!(all.join(" "), text.trim());
    }
}
