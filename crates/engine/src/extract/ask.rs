//! Asks a language model for facts.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use mnemon_models::{ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, ModelError, RefusalCause};
use mnemon_store::{MemoryId, Role};
use serde_json::{Value, json};

use super::fact::Fact;
use super::parse::{ParsedAnswer, parse_answer};
use super::prompt::{ExtractionInput, answer_schema, context_chars, procedure_prompt, system_prompt, user_prompt};
use super::window::{Part, halves, single_messages, windows};
use crate::error::{EngineError, Result};
use crate::prompts;

/// Maximum number of calls for one window, when answers are truncated.
const MAX_CALLS: usize = 12;
/// Maximum number of calls whose answers bring nothing usable.
const MAX_FAILED_CALLS: usize = 2;
/// After so many refusals without an answer in between, windows are not divided any more: size is not the reason.
const MAX_REFUSALS: usize = 16;

/// What an extraction found.
#[derive(Debug, Default)]
pub(crate) struct Extraction {
    pub(crate) facts: Vec<Fact>,
    /// Indexes of the messages that the model's service refuses, at least in part, and why.
    pub(crate) refused: BTreeMap<usize, Rc<EngineError>>,
}

/// A window that is to be sent.
struct Task<'q> {
    window: Vec<Part<'q>>,
    /// Whether the prompt has the new messages alone, without earlier messages and memories.
    is_alone: bool,
}

/// Extracts the facts of the messages. `before_call` runs before each call of the model.
///
/// A window that is too long for the model is divided until it fits. If the model's service refuses the content of a
/// window, its messages are sent one by one, and those that are still refused are left out.
///
/// # Errors
/// If the model can't be called, its answer is unusable even after a second call, or all messages are refused.
pub(crate) fn extract_facts(
    model: &dyn ChatModel,
    input: &ExtractionInput<'_>,
    before_call: &mut dyn FnMut(),
) -> Result<Extraction> {
    let mut found = Extraction::default();
    let (mut has_answer, mut refusals) = (false, 0);
    let task = |window| Task { window, is_alone: false };
    let mut tasks: VecDeque<Task<'_>> = windows(input.messages).into_iter().map(task).collect();
    while let Some(task) = tasks.pop_front() {
        let error = match ask(model, input, &task, &found.facts, before_call) {
            Ok(facts) => {
                (has_answer, refusals) = (true, 0);
                found.facts.extend(facts.into_iter().map(|fact| attribute(fact, &task.window)));
                continue;
            }
            Err(error) => error,
        };
        refusals += 1;
        // What the model answers otherwise is not refused because of its settings.
        let is_content = match error.llm_refusal() {
            Some(RefusalCause::TooLong) => has_answer,
            Some(RefusalCause::Filtered | RefusalCause::ThisRequest) => has_answer || !tasks.is_empty(),
            _ => false,
        };
        let context = context_chars(input, &found.facts);
        if let Some(smaller) = smaller(&error, &task, context).filter(|_| refusals < MAX_REFUSALS) {
            smaller.into_iter().rev().for_each(|task| tasks.push_front(task));
        } else if is_content {
            tracing::warn!(%error, "the model refuses a message, so nothing is learnt from it");
            let error = Rc::new(error);
            found.refused.extend(task.window.iter().map(|part| (part.index, error.clone())));
        } else {
            return Err(error);
        }
    }
    Ok(found)
}

/// What to send in place of a task that failed; `None` if nothing smaller is left, or if that would not help. `context` is
/// the number of characters that the prompt has beside the new messages.
fn smaller<'q>(error: &EngineError, task: &Task<'q>, context: usize) -> Option<Vec<Task<'q>>> {
    let Task { window, is_alone } = task;
    let chars: usize = window.iter().map(|part| part.text.chars().count()).sum();
    let windows = match (error.llm_refusal(), error) {
        (Some(RefusalCause::Filtered), _) => single_messages(window),
        // A refusal that is not explained may be one of a text that is too long.
        (Some(RefusalCause::TooLong | RefusalCause::ThisRequest), _) => {
            halves(window).filter(|_| *is_alone || context < chars).map(Vec::from)
        }
        (_, EngineError::Extraction { is_truncated: true, .. }) => {
            return halves(window).map(|halves| tasks(halves.into(), *is_alone));
        }
        _ => return None,
    };
    match windows {
        Some(windows) => Some(tasks(windows, *is_alone)),
        // The reason may be in what the prompt has beside the messages.
        None if !is_alone => Some(tasks(vec![window.clone()], true)),
        None => None,
    }
}

fn tasks(windows: Vec<Vec<Part<'_>>>, is_alone: bool) -> Vec<Task<'_>> {
    windows.into_iter().map(|window| Task { window, is_alone }).collect()
}

/// The facts of one window. `before` has the facts of the windows before it.
fn ask(
    model: &dyn ChatModel,
    input: &ExtractionInput<'_>,
    task: &Task<'_>,
    before: &[Fact],
    before_call: &mut dyn FnMut(),
) -> Result<Vec<Fact>> {
    let alone = input.alone();
    let (input, before) = if task.is_alone { (&alone, &[][..]) } else { (input, before) };
    let conversation = [
        ChatMessage::new(ChatRole::System, system_prompt(input)),
        ChatMessage::new(ChatRole::User, user_prompt(input, &task.window, before)),
    ];
    call_until_complete(model, &conversation, input, before_call)
}

/// Writes one record of what an agent did; of several parts if the model's context is too small for all messages.
///
/// # Errors
/// If the model can't be called.
pub(crate) fn record_procedure(model: &dyn ChatModel, input: &ExtractionInput<'_>) -> Result<String> {
    let window: Vec<Part<'_>> =
        input.messages.iter().enumerate().map(|(index, message)| part(index, message)).collect();
    let mut windows = VecDeque::from([window]);
    let mut records: Vec<String> = Vec::new();
    while let Some(window) = windows.pop_front() {
        let messages = vec![
            ChatMessage::new(ChatRole::System, prompts::PROCEDURE),
            ChatMessage::new(ChatRole::User, procedure_prompt(input, &window)),
        ];
        match model.chat(&ChatRequest { messages, ..ChatRequest::default() }).map_err(EngineError::from) {
            Ok(answer) => records.push(answer.text),
            Err(error) => {
                let halves = halves(&window).filter(|_| error.may_be_too_long());
                let [first, second] = halves.ok_or(error)?;
                windows.push_front(second);
                windows.push_front(first);
            }
        }
    }
    Ok(records.join("\n\n"))
}

/// Calls the model until its answer is complete: after a truncated answer it is asked for the rest, after an unusable one
/// it is asked again. If no more comes, the complete facts are kept.
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
                if !unusable || (failed_calls >= MAX_FAILED_CALLS && facts.is_empty()) {
                    return Err(error);
                }
                if failed_calls >= MAX_FAILED_CALLS {
                    break;
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
    if facts.is_empty() {
        let reason = format!("the answers of `{}` are truncated before they contain anything new", model.name());
        return Err(EngineError::Extraction { reason, is_truncated: true });
    }
    tracing::warn!(
        facts = facts.len(),
        model = model.name(),
        "the model's answers are truncated; complete facts are kept"
    );
    Ok(facts)
}

fn call(model: &dyn ChatModel, messages: Vec<ChatMessage>, input: &ExtractionInput<'_>) -> Result<ParsedAnswer> {
    let known: Vec<MemoryId> = input.existing.iter().map(|(id, _)| *id).collect();
    let reply = model.chat(&ChatRequest { messages, json: Some(answer_schema()), max_tokens: None })?;
    let is_ended = reply.finish == Finish::Stop;
    let mut answer = parse_answer(&reply.text, &known, input.messages.len(), is_ended).map_err(|fault| {
        EngineError::Extraction { reason: format!("`{}` answered {fault}", model.name()), is_truncated: !is_ended }
    })?;
    answer.cut |= !is_ended;
    Ok(answer)
}

fn part(index: usize, message: &crate::message::Message) -> Part<'_> {
    Part { index, message, text: &message.content }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn message(content: &str) -> Message {
        Message { content: content.into(), ..Message::default() }
    }

    #[test]
    fn missing_sources_are_found_by_shared_words() {
        let messages = [message("I moved to Lisbon."), message("My cat is called Miso.")];
        let window: Vec<Part<'_>> = messages.iter().enumerate().map(|(index, message)| part(index, message)).collect();
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
