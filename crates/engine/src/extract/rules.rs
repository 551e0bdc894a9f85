//! Extraction without a language model: what states something is kept as it was said, chatter is not.
//!
//! A message is cut into sentences. Questions that tell nothing of who asks, greetings, thanks and exclamations without
//! content are left out; what is left becomes one fact a message, or several where it is long. A short answer keeps the question that it answers, and a
//! sentence that begins with a pronoun stays with the one before it, so that a fact can be read by itself.

use std::sync::LazyLock;

use unicode_segmentation::UnicodeSegmentation;

use super::Fact;
use crate::Message;

/// A fact ends before the sentence that would make it longer, in characters.
const LONG: usize = 400;
/// The same where the sentence begins with a pronoun.
const LONGER: usize = 800;
/// An answer with fewer words of content can't be read without its question.
const SHORT_ANSWER: usize = 3;
/// A question with so many words of content tells what it is about.
const MUCH: usize = 9;
/// One of its own person does with so many.
const SOME: usize = 4;
/// A question that is longer is no question to be quoted.
const LONG_QUESTION: usize = 200;

/// Facts of messages; system messages hold none.
pub(crate) fn sentences(messages: &[Message]) -> Vec<Fact> {
    let mut facts = Vec::new();
    // The question that the message before ended in: (place, role and name, text).
    let mut asked: Option<(usize, &Message, String)> = None;
    for (at, message) in messages.iter().enumerate() {
        if message.role == "system" {
            continue;
        }
        let all = split(&message.content);
        let stated: Vec<&str> = all.iter().copied().filter(|sentence| states(sentence)).collect();
        let content: usize = stated.iter().map(|sentence| content_words(sentence)).sum();
        let question =
            asked.take().filter(|(_, other, _)| (&other.role, &other.name) != (&message.role, &message.name));
        let answers = content < SHORT_ANSWER && all.first().is_some_and(|first| !first.trim_end().ends_with('?'));
        match question.filter(|_| answers && (content > 0 || all.iter().any(|sentence| decides(sentence)))) {
            Some((place, _, question)) => {
                let answer = if stated.is_empty() { all.join("") } else { stated.join("") };
                facts.push(fact(
                    format!("\u{201c}{question}\u{201d} \u{2013} {}", answer.trim()),
                    message,
                    vec![place, at],
                ));
            }
            None => facts.extend(joined(&stated).into_iter().map(|text| fact(text, message, vec![at]))),
        }
        let last = all.last().map(|last| last.trim()).filter(|last| last.ends_with(['?', '？']));
        asked = last
            .filter(|last| last.chars().count() <= LONG_QUESTION && content_words(last) > 0)
            .map(|last| (at, message, last.to_owned()));
    }
    facts
}

fn fact(text: String, message: &Message, sources: Vec<usize>) -> Fact {
    let who = if message.role == "assistant" { "assistant" } else { "user" };
    Fact { text, attributed_to: Some(who.to_owned()), sources, related: Vec::new(), supersedes: Vec::new() }
}

/// Sentences with the white space after them.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n')
        .flat_map(UnicodeSegmentation::split_sentence_bounds)
        .filter(|sentence| !sentence.trim().is_empty())
        .collect()
}

/// Sentences put together, as long as they are short.
fn joined(sentences: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for sentence in sentences {
        let most = if leans_back(sentence) { LONGER } else { LONG };
        match texts.last_mut() {
            Some(text) if text.chars().count() + sentence.chars().count() <= most => text.push_str(sentence),
            _ => texts.push((*sentence).to_owned()),
        }
    }
    texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

/// Whether a sentence says something that may be worth knowing.
fn states(sentence: &str) -> bool {
    let content = content_words(sentence);
    let asks = sentence.trim_end().trim_end_matches(['"', '\u{201d}', ')']).ends_with(['?', '？']);
    content > 0 && (!asks || content >= MUCH || (content >= SOME && tells_of_oneself(sentence)))
}

/// "I earn $85,000 and live in Porto, so can you give me advice?" tells more than it asks.
fn tells_of_oneself(sentence: &str) -> bool {
    let own = [
        "i", "i'm", "i've", "i'd", "i'll", "my", "we", "we're", "we've", "our", "ich", "mein", "meine", "je", "mon",
        "yo", "mi",
    ];
    sentence.contains(|char: char| char.is_ascii_digit())
        || sentence.unicode_words().any(|word| own.contains(&word.to_lowercase().replace('\u{2019}', "'").as_str()))
}

/// Words that are neither function words nor phrases of politeness.
fn content_words(sentence: &str) -> usize {
    static CHATTER: LazyLock<std::collections::HashSet<u32>> =
        LazyLock::new(|| CHATTER_WORDS.split_whitespace().flat_map(mnemon_text::index_terms).collect());
    if !sentence.contains(char::is_alphanumeric) {
        return 0;
    }
    mnemon_text::index_terms(sentence).iter().filter(|term| !CHATTER.contains(term)).count()
}

/// Whether a sentence says yes or no.
fn decides(sentence: &str) -> bool {
    let first = sentence.unicode_words().next().unwrap_or_default().to_lowercase();
    ["yes", "yeah", "yep", "yup", "no", "nope", "never", "always", "ja", "nein", "sí", "oui", "non", "sim", "não"]
        .contains(&first.as_str())
}

/// Whether a sentence can't be understood without the one before it.
fn leans_back(sentence: &str) -> bool {
    let first = sentence.unicode_words().next().unwrap_or_default().to_lowercase();
    ["he", "she", "it", "they", "this", "that", "these", "those", "his", "her", "its", "their", "there", "then", "so"]
        .contains(&first.as_str())
}

/// What people say without telling anything.
const CHATTER_WORDS: &str = "hi hello hey howdy greetings morning evening bye goodbye cheers thanks thank thx ty welcome \
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

    fn said(turns: &[(&str, &str)]) -> Vec<Message> {
        let message = |(who, text): &(&str, &str)| Message {
            role: if *who == "assistant" { "assistant" } else { "user" }.into(),
            name: (!matches!(*who, "assistant" | "user")).then(|| (*who).to_owned()),
            content: (*text).into(),
            timestamp: None,
        };
        turns.iter().map(message).collect()
    }

    fn check(turns: &[(&str, &str)], expected: &[&str]) {
        let facts = sentences(&said(turns));
        assert_eq!(facts.iter().map(|fact| fact.text.as_str()).collect::<Vec<_>>(), expected, "{turns:?}");
    }

    #[test]
    fn what_states_something_is_kept_as_it_was_said() {
        check(&[("user", "Hi! I moved to Lisbon in May. How are you?")], &["I moved to Lisbon in May."]);
        check(&[("user", "I'm vegan.")], &["I'm vegan."]);
        check(&[("user", "I have a cat. It is called Miso.")], &["I have a cat. It is called Miso."]);
        check(&[("user", "Ich wohne in Graz und spiele Cello.")], &["Ich wohne in Graz und spiele Cello."]);
        let told = "I'm Crystal, I earn $85,000 and live in Porto, so can you give me some advice?";
        check(&[("user", told)], &[told]);
        check(&[("user", "我住在里斯本。我有一只猫。")], &["我住在里斯本。我有一只猫。"]);
    }

    #[test]
    fn chatter_and_questions_are_not() {
        for chatter in [
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
            check(&[("user", chatter)], &[]);
        }
    }

    #[test]
    fn a_short_answer_keeps_its_question() {
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
    fn sources_and_speakers_are_told() {
        let facts = sentences(&said(&[
            ("user", "Where should we eat tapas?"),
            ("assistant", "Bar Alfalfa!"),
            ("user", "I am at work until six."),
        ]));
        let told: Vec<_> =
            facts.iter().map(|fact| (fact.attributed_to.as_deref().unwrap(), fact.sources.clone())).collect();
        assert_eq!(told, [("assistant", vec![0, 1]), ("user", vec![2])]);
    }

    #[test]
    fn long_messages_are_several_facts() {
        let text: String = (0..40).map(|n| format!("Fact number {n} tells of the harbour of Porto. ")).collect();
        let facts = sentences(&said(&[("assistant", &text)]));
        assert!(facts.len() >= 4 && facts.iter().all(|fact| fact.text.chars().count() <= LONG), "{}", facts.len());
        let all: Vec<&str> = facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!(all.join(" "), text.trim());
    }
}
