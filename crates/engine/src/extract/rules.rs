//! Extraction by rules, without a language model: keeps sentences that state something, verbatim, and skips small talk.
//!
//! A message is split into sentences. Greetings, thanks, exclamations without content, and questions that say nothing about
//! the person who asks are skipped; a statement that ends in a question ("I live in Bergen, right?") is kept. The remaining
//! sentences become one fact, or several if the message is long. A short answer is stored together with its question, and a
//! sentence that begins with a pronoun together with the sentence before it, so that each fact can be understood alone.

use mnemon_store::Role;
use unicode_segmentation::UnicodeSegmentation;

use super::fact::Fact;
use super::question::holds_a_statement;
use super::words::{content_words, is_own_word, plain_word};
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
            || holds_a_statement(sentence))
}

/// Whether the speaker mentions themselves or a number, as in "I earn $85,000, so can you give me advice?".
fn is_personal(sentence: &str) -> bool {
    sentence.contains(|char: char| char.is_ascii_digit())
        || sentence.unicode_words().any(|word| is_own_word(&plain_word(word)))
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
            "I live in Bergen, right??",
            "I live in Bergen, amirite?",
            "It's my birthday tomorrow, did you know?",
            "Bergen is where I grew up, you know?",
            "Can you believe I got the job at Nokia?",
            "Can you believe Marta won the race?",
            "Did you know that my sister lives in Kyoto?",
            "Did you know, my sister lives in Kyoto?",
            "Did I mention that Ben plays chess?",
            "Do you remember that Ben plays chess?",
            "You know I hate mushrooms, right?",
            "I like tea and what about you?",
            "I like tea, how about you?",
            "I like tea and you?",
            "I live in Bergen or not?",
        ] {
            check(&[("user", text)], &[text]);
        }
        for text in statements_in_other_languages() {
            check(&[("user", text)], &[text]);
        }
        check(&[("user", "I live in Bergen. Any tips?")], &["I live in Bergen."]);
        check(&[("user", "I live in Bergen, right? It rains.")], &["I live in Bergen, right? It rains."]);
    }

    /// Statements with a question after them, in 40 languages.
    fn statements_in_other_languages() -> Vec<&'static str> {
        include_str!("question/statements.txt").lines().collect()
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
            "Hi, my friend, how are you?",
            "Would you like tea, my dear?",
            "Did you know?",
            "Do you know Marta?",
            "Do you know where Ben lives?",
            "Did you know how to ski?",
            "Can you believe it?",
            "What about you?",
            "Wo wohnst du, weißt du?",
            "Du wohnst in Graz, oder?",
            "Ist es kalt in Oslo, oder nicht?",
            "¿Qué hora es?",
            "Hola María, ¿cómo estás?",
            "¿Dónde vive Ana, sabes?",
            "Tu habites à Lyon, non?",
            "Где живёт Олег, знаешь?",
            "Ты живёшь в Москве, да?",
            "你住在北京，对吧？",
            "谁住在北京，你知道吗？",
            "너는 서울에 살아, 맞지?",
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
