//! The prompts of an extraction, and the schema of its answer.

use jiff::Timestamp;
use mnemon_models::JsonShape;
use mnemon_store::{MemoryId, SessionMessage};
use serde_json::{Value, json};

use super::fact::Fact;
use super::window::{Part, first_chars};
use crate::message::Message;
use crate::prompts::{self, section};

/// Characters of an earlier message in the prompt.
const EARLIER_CHARS: usize = 400;
/// Characters of a memory, or of a fact from a previous window, in the prompt.
const MEMORY_CHARS: usize = 1000;
/// Number of facts from previous windows in the prompt.
const RECENT_FACTS: usize = 30;

/// What the prompts contain beside the task.
#[derive(Clone, Copy)]
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

impl ExtractionInput<'_> {
    /// The same without earlier messages and memories.
    pub(super) fn alone(&self) -> Self {
        Self { earlier: &[], existing: &[], ..*self }
    }
}

/// The number of characters of earlier messages, memories and facts in a prompt.
pub(super) fn context_chars(input: &ExtractionInput<'_>, found: &[Fact]) -> usize {
    let chars = |input: &ExtractionInput<'_>, found: &[Fact]| user_prompt(input, &[], found).chars().count();
    chars(input, found).saturating_sub(chars(&input.alone(), &[]))
}

/// The prompt that asks for a record of what an agent did.
pub(super) fn procedure_prompt(input: &ExtractionInput<'_>, parts: &[Part<'_>]) -> String {
    let mut user = String::new();
    section(&mut user, "Messages", &message_list(parts));
    section(&mut user, "Current Date", &day(input.now));
    if let Some(instructions) = input.instructions {
        section(&mut user, "Custom Instructions", instructions);
    }
    user
}

pub(super) fn system_prompt(input: &ExtractionInput<'_>) -> String {
    let mut prompt = prompts::EXTRACT.to_owned();
    if input.of_agent {
        prompt.push_str(prompts::EXTRACT_AGENT);
    }
    prompt
}

pub(super) fn user_prompt(input: &ExtractionInput<'_>, window: &[Part<'_>], found: &[Fact]) -> String {
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
    let recent: Vec<Value> = recent.map(|fact| json!({"text": first_chars(&fact.text, MEMORY_CHARS)})).collect();
    section(&mut prompt, "Recently Extracted Memories", &json_list(&recent));
    let existing = input.existing.iter().enumerate();
    let existing: Vec<Value> = existing
        .map(|(at, (_, text))| json!({"id": at.to_string(), "text": first_chars(text, MEMORY_CHARS)}))
        .collect();
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

/// The JSON schema of an answer.
pub(super) fn answer_schema() -> JsonShape {
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
