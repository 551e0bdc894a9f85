//! Asks a language model for facts.

use jiff::Timestamp;
use mnemon_models::{ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, JsonShape, ModelError};
use mnemon_store::{MemoryId, Role, SessionMessage};
use serde_json::{Value, json};

use super::fact::Fact;
use super::parse::{ParsedAnswer, parse_answer};
use crate::error::{EngineError, Result};
use crate::message::Message;
use crate::prompts::{self, section};

/// Characters of new messages in one prompt.
const WINDOW_CHARS: usize = 24_000;
/// Characters of an earlier message in the prompt.
const EARLIER_CHARS: usize = 400;
/// Maximum number of calls for one window, when answers are truncated.
const MAX_CALLS: usize = 12;
/// Maximum number of calls whose answers bring nothing usable.
const MAX_FAILED_CALLS: usize = 2;
/// Number of facts from previous windows in the prompt.
const RECENT_FACTS: usize = 30;

/// What the prompts contain beside the task.
pub(crate) struct ExtractionInput<'q> {
    pub(crate) messages: &'q [Message],
    /// Earlier messages of the conversation, oldest first.
    pub(crate) earlier: &'q [SessionMessage],
    /// Memories about similar subjects. The prompt lists them by index.
    pub(crate) existing: &'q [(MemoryId, String)],
    /// The time of the messages.
    pub(crate) observed: Timestamp,
    /// The current time.
    pub(crate) now: Timestamp,
    /// The caller's own instructions.
    pub(crate) instructions: Option<&'q str>,
    /// Whether the memory belongs to an agent alone.
    pub(crate) of_agent: bool,
}

/// A message, or a part of a long one.
#[derive(Clone, Copy)]
struct Part<'q> {
    /// Index of the message.
    index: usize,
    message: &'q Message,
    text: &'q str,
}

/// Extracts the facts of the messages. `before_call` runs before each call of the model.
///
/// # Errors
/// If the model can't be called, or its answer is unusable even after a second call.
pub(crate) fn extract_facts(
    model: &dyn ChatModel,
    input: &ExtractionInput<'_>,
    before_call: &mut dyn FnMut(),
) -> Result<Vec<Fact>> {
    let mut facts: Vec<Fact> = Vec::new();
    for window in windows(input.messages) {
        let conversation = vec![
            ChatMessage::new(ChatRole::System, system_prompt(input)),
            ChatMessage::new(ChatRole::User, user_prompt(input, &window, &facts)),
        ];
        let found = call_until_complete(model, &conversation, input, before_call)?;
        facts.extend(found.into_iter().map(|fact| attribute(fact, &window)));
    }
    Ok(facts)
}

/// Writes one record of what an agent did.
///
/// # Errors
/// If the model can't be called.
pub(crate) fn record_procedure(model: &dyn ChatModel, input: &ExtractionInput<'_>) -> Result<String> {
    let mut user = String::new();
    let parts: Vec<Part<'_>> = input
        .messages
        .iter()
        .enumerate()
        .map(|(index, message)| Part { index, message, text: message.content.as_str() })
        .collect();
    section(&mut user, "Messages", &message_list(&parts));
    section(&mut user, "Current Date", &day(input.now));
    if let Some(instructions) = input.instructions {
        section(&mut user, "Custom Instructions", instructions);
    }
    let messages = vec![ChatMessage::new(ChatRole::System, prompts::PROCEDURE), ChatMessage::new(ChatRole::User, user)];
    Ok(model.chat(&ChatRequest { messages, ..ChatRequest::default() })?.text)
}

/// Calls the model until its answer is complete: after a truncated answer it is asked for the rest, after an unusable one
/// it is asked again.
fn call_until_complete(
    model: &dyn ChatModel,
    conversation: &[ChatMessage],
    input: &ExtractionInput<'_>,
    before_call: &mut dyn FnMut(),
) -> Result<Vec<Fact>> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut failed_calls = 0;
    for _ in 0..MAX_CALLS {
        let mut messages = conversation.to_vec();
        if !facts.is_empty() {
            let texts: Vec<Value> = facts.iter().map(|fact| json!({"text": fact.text})).collect();
            messages.push(ChatMessage::new(ChatRole::Assistant, json!({"memory": texts}).to_string()));
            messages.push(ChatMessage::new(ChatRole::User, prompts::EXTRACT_MORE));
        }
        before_call();
        let ParsedAnswer { facts: found, cut } = match call(model, messages, input) {
            Ok(answer) => answer,
            Err(error) => {
                failed_calls += 1;
                let unusable =
                    matches!(error, EngineError::Model(ModelError::Answer { .. }) | EngineError::Extraction { .. });
                if !unusable || failed_calls >= MAX_FAILED_CALLS {
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
            failed_calls += 1;
            if failed_calls >= MAX_FAILED_CALLS {
                break;
            }
        }
    }
    let reason = format!("the answers of `{}` are truncated before they contain anything new", model.name());
    Err(EngineError::Extraction { reason, is_truncated: true })
}

fn call(model: &dyn ChatModel, messages: Vec<ChatMessage>, input: &ExtractionInput<'_>) -> Result<ParsedAnswer> {
    let known: Vec<MemoryId> = input.existing.iter().map(|(id, _)| *id).collect();
    let reply = model.chat(&ChatRequest { messages, json: Some(answer_schema()), max_tokens: None })?;
    let mut answer = parse_answer(&reply.text, &known, input.messages.len()).map_err(|fault| {
        EngineError::Extraction { reason: format!("`{}` answered {fault}", model.name()), is_truncated: false }
    })?;
    answer.cut |= reply.finish == Finish::Length;
    Ok(answer)
}

fn system_prompt(input: &ExtractionInput<'_>) -> String {
    let mut prompt = prompts::EXTRACT.to_owned();
    if input.of_agent {
        prompt.push_str(prompts::EXTRACT_AGENT);
    }
    prompt
}

fn user_prompt(input: &ExtractionInput<'_>, window: &[Part<'_>], found: &[Fact]) -> String {
    let mut prompt = String::new();
    let earlier: Vec<Value> = input
        .earlier
        .iter()
        .filter_map(|message| {
            let content = first_chars(message.content.as_deref()?, EARLIER_CHARS);
            Some(json!({"role": message.role, "name": message.name, "content": content}))
        })
        .collect();
    section(&mut prompt, "Earlier Messages", &json_list(&earlier));
    let recent = found.iter().skip(found.len().saturating_sub(RECENT_FACTS));
    let recent: Vec<Value> = recent.map(|fact| json!({"text": fact.text})).collect();
    section(&mut prompt, "Recently Extracted Memories", &json_list(&recent));
    let existing = input.existing.iter().enumerate();
    let existing: Vec<Value> = existing.map(|(at, (_, text))| json!({"id": at.to_string(), "text": text})).collect();
    section(&mut prompt, "Existing Memories", &json_list(&existing));
    section(&mut prompt, "New Messages", &message_list(window));
    section(&mut prompt, "Observation Date", &day(input.observed));
    section(&mut prompt, "Current Date", &day(input.now));
    if let Some(instructions) = input.instructions {
        section(&mut prompt, "Custom Instructions", instructions);
    }
    prompt
}

/// Messages as a JSON list.
fn message_list(parts: &[Part<'_>]) -> String {
    let items: Vec<Value> = parts
        .iter()
        .map(|part| {
            let mut item = json!({"n": part.index, "role": part.message.role, "content": part.text});
            if let Some(name) = &part.message.name {
                item["name"] = name.as_str().into();
            }
            if let Some(time) = part.message.timestamp {
                item["time"] = time.to_string().into();
            }
            item
        })
        .collect();
    json_list(&items)
}

/// A JSON list with one item on each line.
fn json_list(items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(Value::to_string).collect();
    if items.is_empty() { "[]".into() } else { format!("[{}]", items.join(",\n")) }
}

/// A date with its day of the week, which helps to resolve "last Friday".
fn day(time: Timestamp) -> String {
    time.strftime("%A, %-d %B %Y (%Y-%m-%d)").to_string()
}

/// Divides messages into windows, one for each prompt; a message that is longer than a window is divided into parts.
fn windows(messages: &[Message]) -> Vec<Vec<Part<'_>>> {
    let mut windows: Vec<Vec<Part<'_>>> = Vec::new();
    let mut window_chars = WINDOW_CHARS;
    for (index, message) in messages.iter().enumerate() {
        let mut rest = message.content.as_str();
        while !rest.trim().is_empty() {
            let text = first_part(rest, WINDOW_CHARS);
            rest = &rest[text.len()..];
            let chars = text.chars().count();
            if window_chars + chars > WINDOW_CHARS {
                windows.push(Vec::new());
                window_chars = 0;
            }
            window_chars += chars;
            if let Some(window) = windows.last_mut() {
                window.push(Part { index, message, text });
            }
        }
    }
    windows
}

/// The beginning of a text, at most so many characters. It ends after the last whole line, else after the last whole
/// sentence, else after the last whole word, unless that would leave less than half of it.
fn first_part(text: &str, chars: usize) -> &str {
    let head = first_chars(text, chars);
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
pub(crate) fn first_chars(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// Completes a fact: sources that the model did not name are found by shared words, and the role follows from the sources.
fn attribute(mut fact: Fact, window: &[Part<'_>]) -> Fact {
    if fact.sources.is_empty() {
        let words = mnemon_text::index_terms(&fact.text).words;
        let shared_words = |text: &str| {
            let terms = mnemon_text::index_terms(text).words;
            words.iter().filter(|word| terms.contains(word)).count()
        };
        let counts: Vec<(usize, usize)> = window.iter().map(|part| (part.index, shared_words(part.text))).collect();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        fact.sources = counts.iter().filter(|(_, count)| *count == most).map(|(index, _)| *index).collect();
        fact.sources.dedup();
    }
    if fact.attributed_to.is_none() {
        let by_assistant = fact
            .sources
            .iter()
            .all(|source| window.iter().any(|part| part.index == *source && part.message.role == Role::Assistant));
        fact.attributed_to = Some(if by_assistant { Role::Assistant } else { Role::User });
    }
    fact
}

/// The JSON schema of an answer.
fn answer_schema() -> JsonShape {
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
        Message { content: content.into(), ..Message::default() }
    }

    #[test]
    fn long_messages_are_divided_without_loss() {
        let long: String = (0..12_000).map(|n| format!("word{n} ")).collect();
        let messages = [message("short"), message(&long), message("end")];
        let windows = windows(&messages);
        assert!(windows.len() > 3);
        for window in &windows {
            assert!(window.iter().map(|part| part.text.chars().count()).sum::<usize>() <= WINDOW_CHARS);
        }
        let text: String = windows.iter().flatten().filter(|part| part.index == 1).map(|part| part.text).collect();
        assert_eq!(text, long);
        assert_eq!(windows.last().and_then(|window| window.last()).map(|part| part.index), Some(2));
    }

    #[test]
    fn a_part_ends_after_a_line_sentence_or_word() {
        for (text, expected) in [
            ("one two three\nfour five six", "one two three\n"),
            ("a\nOne is two. Three is 3.5 and more", "a\nOne is two."),
            ("we are one 猫が好き。犬も好きです", "we are one 猫が好き。"),
            ("abcdefghijkl mnopqrstuvwxyz", "abcdefghijkl "),
            ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrst"),
            ("all of it.", "all of it."),
        ] {
            assert_eq!(first_part(text, 20), expected);
        }
    }

    #[test]
    fn missing_sources_are_found_by_shared_words() {
        let messages = [message("I moved to Lisbon."), message("My cat is called Miso.")];
        let window: Vec<Part<'_>> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| Part { index, message, text: message.content.as_str() })
            .collect();
        let fact = |text: &str| Fact {
            text: text.into(),
            attributed_to: None,
            sources: Vec::new(),
            related: Vec::new(),
            supersedes: Vec::new(),
        };
        let found = attribute(fact("User has a cat named Miso"), &window);
        assert_eq!((found.sources.as_slice(), &found.attributed_to), (&[1][..], &Some(Role::User)));
        assert_eq!(attribute(fact("nothing in common"), &window).sources, [0, 1]);
    }
}
