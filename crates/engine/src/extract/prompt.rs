//! A language model is asked for facts.

use jiff::Timestamp;
use mnemon_models::{ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, JsonShape, ModelError};
use mnemon_store::{MemoryId, SessionMessage};
use serde_json::{Value, json};

use super::Fact;
use super::parse::{self, Read};
use crate::prompts::{self, section};
use crate::{EngineError, Message, Result};

/// Characters of new messages that are read at a time.
const WINDOW: usize = 24_000;
/// Characters of an earlier message that are shown.
const EARLIER: usize = 400;
/// How often a model that was cut is asked to go on.
const MAX_PARTS: usize = 12;
/// How often a model that answers nonsense is asked.
const MAX_TRIES: usize = 2;
/// Facts of the windows before that are shown.
const RECENT: usize = 30;

/// All that a model is told beside its task.
pub(crate) struct Question<'q> {
    pub(crate) messages: &'q [Message],
    /// What was said before, oldest first.
    pub(crate) earlier: &'q [SessionMessage],
    /// Memories near what is said, by the numbers they are shown under.
    pub(crate) existing: &'q [(MemoryId, String)],
    /// When it was said.
    pub(crate) observed: Timestamp,
    /// Now.
    pub(crate) now: Timestamp,
    /// The caller's own.
    pub(crate) instructions: Option<&'q str>,
    /// Whether the memory is an agent's alone.
    pub(crate) of_agent: bool,
}

/// A stretch of the messages: (place among all, role, name, text, time).
type Piece<'q> = (usize, &'q Message, &'q str);

/// The facts that a model finds in the messages. `asking` is called before each call of the model.
///
/// # Errors
/// If the model can't be asked, or answers no facts even when asked again.
pub(crate) fn extract(model: &dyn ChatModel, question: &Question<'_>, asking: &mut dyn FnMut()) -> Result<Vec<Fact>> {
    let mut facts: Vec<Fact> = Vec::new();
    for window in windows(question.messages) {
        let conversation = vec![
            ChatMessage::new(ChatRole::System, system(question)),
            ChatMessage::new(ChatRole::User, user(question, &window, &facts)),
        ];
        let found = complete(model, conversation, question, asking)?;
        facts.extend(found.into_iter().map(|fact| attributed(fact, &window)));
    }
    Ok(facts)
}

/// One record of what an agent did.
///
/// # Errors
/// If the model can't be asked.
pub(crate) fn procedure(model: &dyn ChatModel, question: &Question<'_>) -> Result<String> {
    let mut user = String::new();
    let pieces: Vec<Piece<'_>> =
        question.messages.iter().enumerate().map(|(at, message)| (at, message, message.content.as_str())).collect();
    section(&mut user, "Messages", &listed(&pieces));
    section(&mut user, "Current Date", &day(question.now));
    if let Some(instructions) = question.instructions {
        section(&mut user, "Custom Instructions", instructions);
    }
    let messages = vec![ChatMessage::new(ChatRole::System, prompts::PROCEDURE), ChatMessage::new(ChatRole::User, user)];
    Ok(model.chat(&ChatRequest { messages, ..ChatRequest::default() })?.text)
}

/// Asks until all is said: a cut answer is asked on for the rest, nonsense is asked for again.
fn complete(
    model: &dyn ChatModel,
    begun: Vec<ChatMessage>,
    question: &Question<'_>,
    asking: &mut dyn FnMut(),
) -> Result<Vec<Fact>> {
    let known: Vec<MemoryId> = question.existing.iter().map(|(id, _)| *id).collect();
    let mut facts: Vec<Fact> = Vec::new();
    let mut tries = 0;
    for _ in 0..MAX_PARTS {
        let mut messages = begun.clone();
        if !facts.is_empty() {
            let texts: Vec<Value> = facts.iter().map(|fact| json!({"text": fact.text})).collect();
            messages.push(ChatMessage::new(ChatRole::Assistant, json!({"memory": texts}).to_string()));
            messages.push(ChatMessage::new(ChatRole::User, prompts::EXTRACT_MORE));
        }
        let request = ChatRequest { messages, json: Some(shape()), max_tokens: None };
        asking();
        let read = model.chat(&request).map_err(EngineError::from).and_then(|reply| {
            let mut read =
                parse::read(&reply.text, &known, question.messages.len()).map_err(|told| nonsense(model, told))?;
            read.cut |= reply.finish == Finish::Length;
            Ok(read)
        });
        let Read { facts: found, cut } = match read {
            Ok(read) => read,
            Err(error) => {
                tries += 1;
                let asked_in_vain =
                    matches!(error, EngineError::Model(ModelError::Answer { .. }) | EngineError::Extraction(_));
                if !asked_in_vain || tries >= MAX_TRIES {
                    return Err(error);
                }
                continue;
            }
        };
        let before = facts.len();
        for fact in found {
            if !facts.iter().any(|known| known.text == fact.text) {
                facts.push(fact);
            }
        }
        if !cut {
            return Ok(facts);
        }
        if facts.len() == before {
            tries += 1;
            if tries >= MAX_TRIES {
                break;
            }
        }
    }
    Err(EngineError::Extraction(format!(
        "the answers of `{}` are cut before they say anything new: set llm_max_tokens (MNEMON_LLM_MAX_TOKENS) higher, or \
         send fewer messages at a time",
        model.name()
    )))
}

fn nonsense(model: &dyn ChatModel, told: String) -> EngineError {
    EngineError::Extraction(format!("`{}` answered {told}", model.name()))
}

fn system(question: &Question<'_>) -> String {
    let mut prompt = prompts::EXTRACT.to_owned();
    if question.of_agent {
        prompt.push_str(prompts::EXTRACT_AGENT);
    }
    prompt
}

fn user(question: &Question<'_>, window: &[Piece<'_>], found: &[Fact]) -> String {
    let mut prompt = String::new();
    let earlier: Vec<Value> = question
        .earlier
        .iter()
        .filter_map(|message| {
            let content = cut(message.content.as_deref()?, EARLIER);
            Some(json!({"role": message.role, "name": message.name, "content": content}))
        })
        .collect();
    section(&mut prompt, "Earlier Messages", &lines(&earlier));
    let recent = found.iter().skip(found.len().saturating_sub(RECENT));
    let recent: Vec<Value> = recent.map(|fact| json!({"text": fact.text})).collect();
    section(&mut prompt, "Recently Extracted Memories", &lines(&recent));
    let existing = question.existing.iter().enumerate();
    let existing: Vec<Value> = existing.map(|(at, (_, text))| json!({"id": at.to_string(), "text": text})).collect();
    section(&mut prompt, "Existing Memories", &lines(&existing));
    section(&mut prompt, "New Messages", &listed(window));
    section(&mut prompt, "Observation Date", &day(question.observed));
    section(&mut prompt, "Current Date", &day(question.now));
    if let Some(instructions) = question.instructions {
        section(&mut prompt, "Custom Instructions", instructions);
    }
    prompt
}

/// Messages as a JSON list.
fn listed(pieces: &[Piece<'_>]) -> String {
    let items: Vec<Value> = pieces
        .iter()
        .map(|(at, message, text)| {
            let mut item = json!({"n": at, "role": message.role, "content": text});
            if let Some(name) = &message.name {
                item["name"] = name.as_str().into();
            }
            if let Some(time) = message.timestamp {
                item["time"] = time.to_string().into();
            }
            item
        })
        .collect();
    lines(&items)
}

/// A JSON list with an item a line.
fn lines(items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(Value::to_string).collect();
    if items.is_empty() { "[]".into() } else { format!("[{}]", items.join(",\n")) }
}

/// The day of the week helps to count back from.
fn day(time: Timestamp) -> String {
    time.strftime("%A, %-d %B %Y (%Y-%m-%d)").to_string()
}

/// Stretches of messages that are read at a time; a message that is longer comes in parts.
fn windows(messages: &[Message]) -> Vec<Vec<Piece<'_>>> {
    let mut windows: Vec<Vec<Piece<'_>>> = Vec::new();
    let mut held = WINDOW;
    for (at, message) in messages.iter().enumerate() {
        let mut rest = message.content.as_str();
        while !rest.trim().is_empty() {
            let part = part(rest, WINDOW);
            rest = &rest[part.len()..];
            let chars = part.chars().count();
            if held + chars > WINDOW {
                windows.push(Vec::new());
                held = 0;
            }
            held += chars;
            if let Some(window) = windows.last_mut() {
                window.push((at, message, part));
            }
        }
    }
    windows
}

/// The beginning of a text, up to the last line, else sentence, else word that is whole and does not leave too little.
fn part(text: &str, chars: usize) -> &str {
    let head = cut(text, chars);
    if head.len() == text.len() {
        return text;
    }
    let sentence = head.rmatch_indices(['.', '!', '?', '。', '！', '？']).find_map(|(at, mark)| {
        let end = at + mark.len();
        (!mark.is_ascii() || head[end..].starts_with(' ')).then_some(end)
    });
    let after = |char: char| head.rfind(char).map(|at| at + 1);
    let end = [after('\n'), sentence, after(' ')].into_iter().flatten().find(|end| *end > head.len() / 2);
    end.map_or(head, |end| &head[..end])
}

/// The first characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// A fact with its sources, found by the words it shares with messages if the model named none, and with whose it is.
fn attributed(mut fact: Fact, window: &[Piece<'_>]) -> Fact {
    if fact.sources.is_empty() {
        let words = mnemon_text::index_terms(&fact.text);
        let shared = |text: &str| {
            let said = mnemon_text::index_terms(text);
            words.iter().filter(|word| said.contains(word)).count()
        };
        let counts: Vec<(usize, usize)> = window.iter().map(|(at, _, text)| (*at, shared(text))).collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        fact.sources = counts.iter().filter(|(_, count)| *count == most).map(|(at, _)| *at).collect();
        fact.sources.dedup();
    }
    if fact.attributed_to.is_none() {
        let assistant = fact
            .sources
            .iter()
            .all(|source| window.iter().any(|(at, message, _)| at == source && message.role == "assistant"));
        fact.attributed_to = Some(if assistant { "assistant" } else { "user" }.to_owned());
    }
    fact
}

/// The shape of an answer.
fn shape() -> JsonShape {
    let numbers = json!({"type": "array", "items": {"type": "string"}});
    let item = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "text": {"type": "string"},
            "attributed_to": {"type": "string", "enum": ["user", "assistant"]},
            "sources": {"type": "array", "items": {"type": "integer"}},
            "linked_memory_ids": numbers,
            "supersedes": numbers,
        },
        "required": ["id", "text", "attributed_to", "sources", "linked_memory_ids", "supersedes"],
        "additionalProperties": false,
    });
    JsonShape {
        name: "memories",
        schema: json!({
            "type": "object",
            "properties": {"memory": {"type": "array", "items": item}},
            "required": ["memory"],
            "additionalProperties": false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str) -> Message {
        Message { role: "user".into(), content: content.into(), ..Message::default() }
    }

    #[test]
    fn long_messages_are_read_in_parts_and_nothing_is_left_out() {
        let long: String = (0..12_000).map(|n| format!("word{n} ")).collect();
        let messages = [message("short"), message(&long), message("end")];
        let windows = windows(&messages);
        assert!(windows.len() > 3);
        for window in &windows {
            assert!(window.iter().map(|(_, _, text)| text.chars().count()).sum::<usize>() <= WINDOW);
        }
        let said: String = windows.iter().flatten().filter(|(at, _, _)| *at == 1).map(|(_, _, text)| *text).collect();
        assert_eq!(said, long);
        assert_eq!(windows.last().and_then(|window| window.last()).map(|(at, _, _)| *at), Some(2));
    }

    #[test]
    fn a_part_ends_where_something_is_whole() {
        for (text, expected) in [
            ("one two three\nfour five six", "one two three\n"),
            ("a\nOne is two. Three is 3.5 and more", "a\nOne is two."),
            ("we are one 猫が好き。犬も好きです", "we are one 猫が好き。"),
            ("abcdefghijkl mnopqrstuvwxyz", "abcdefghijkl "),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst"),
            ("all of it.", "all of it."),
        ] {
            assert_eq!(part(text, 20), expected);
        }
    }

    #[test]
    fn sources_are_found_by_words() {
        let messages = [message("I moved to Lisbon."), message("My cat is called Miso.")];
        let window: Vec<Piece<'_>> = messages.iter().enumerate().map(|(at, m)| (at, m, m.content.as_str())).collect();
        let fact = |text: &str| Fact {
            text: text.into(),
            attributed_to: None,
            sources: Vec::new(),
            related: Vec::new(),
            supersedes: Vec::new(),
        };
        let found = attributed(fact("User has a cat named Miso"), &window);
        assert_eq!((found.sources.as_slice(), found.attributed_to.as_deref()), (&[1][..], Some("user")));
        assert_eq!(attributed(fact("nothing in common"), &window).sources, [0, 1]);
    }
}
