//! Chat: the language model answers a conversation with the help of memories.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mnemon_models::{ChatAnswer, ChatMessage, ChatRequest, ChatRole};
use mnemon_store::{Filter, Role, Scope};
use serde_json::json;

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::message::Message;
use crate::prompts::CHAT;
use crate::search::{SearchHit, SearchRequest};
use crate::validate::check_text;

/// Number of memories that are searched for.
const TOP_K: usize = 20;
/// Maximum size of the memories in the prompt, in tokens.
const MEMORY_TOKENS: usize = 2000;
/// Maximum size of the conversation in the prompt, in tokens; the oldest messages are left out first.
const CONVERSATION_TOKENS: usize = 12_000;
/// After this time a prompt that is too long is not shortened any more.
const MAX_SHORTENING: Duration = Duration::from_secs(60);
/// Assumed number of characters of a token; a low estimate for languages with an alphabet.
const CHARS_PER_TOKEN: usize = 4;

/// Receives an answer in parts as it is generated; [`ControlFlow::Break`] ends the answer.
pub type OnDelta<'p> = &'p mut dyn FnMut(&str) -> ControlFlow<()>;

/// A conversation whose last message is to be answered.
#[derive(Clone, Debug, Default)]
pub struct ChatTurn {
    /// The owner of the memories.
    pub scope: Scope,
    /// The messages, in order. The last one is answered, unless only the output of tools, calls of tools and instructions to
    /// the model follow it.
    pub messages: Vec<Message>,
    /// Maximum number of tokens of the answer.
    pub max_tokens: Option<u32>,
}

/// The memories that are relevant to a conversation, and the request to the model.
#[derive(Clone, Debug)]
pub struct ChatContext {
    /// The memories, best first; in the prompt they are `m1`, `m2`, ….
    pub memories: Vec<SearchHit>,
    /// The request to the model.
    pub request: ChatRequest,
    /// The memories as the prompt has them.
    lines: Vec<String>,
}

impl ChatTurn {
    /// The message that is answered: the last one of a person or the assistant.
    pub fn question(&self) -> Option<&Message> {
        self.messages.iter().rev().find(|message| {
            let is_call = message.role != Role::User && message.is_wordless();
            !message.role.is_instruction() && !message.role.is_tool() && !is_call
        })
    }
}

impl ChatContext {
    /// Leaves out the older half of the messages before the last one, or the second half of the memories, the longer of the two;
    /// returns whether there were any.
    fn shorten(&mut self) -> bool {
        let last = self.request.messages.len().saturating_sub(1);
        let old = self.request.messages[..last].iter().filter(|message| message.role != ChatRole::System);
        let old_bytes: usize = old.map(|message| message.content.len()).sum();
        let memory_bytes: usize = self.lines.iter().map(String::len).sum();
        if memory_bytes <= old_bytes {
            return shorten(&mut self.request.messages);
        }
        let kept = self.lines.len() / 2;
        tracing::warn!(kept, "the prompt of a chat is too long for the model, so memories are left out");
        self.lines.truncate(kept);
        self.memories.truncate(kept);
        self.request.messages[0] = system_message(&self.lines);
        true
    }

    /// Whether the answer cites the memory at this index.
    pub fn cites(&self, answer: &str, index: usize) -> bool {
        let label = label(index);
        answer.match_indices(&label).any(|(at, _)| {
            let after = answer[at + label.len()..].chars().next();
            let before = answer[..at].chars().next_back();
            let is_outside = |char: Option<char>| char.is_none_or(|char| !char.is_alphanumeric());
            is_outside(before) && is_outside(after)
        })
    }
}

impl Engine {
    /// Finds the memories that are relevant to the last message, and builds the request to the model.
    ///
    /// # Errors
    /// [`EngineError::NoLanguageModel`]; [`EngineError::Invalid`] if the last message is not a user's, is empty or too long,
    /// or if the scope has no ids.
    pub fn chat_context(&self, turn: &ChatTurn) -> Result<ChatContext> {
        self.require_language_model()?;
        let Some(last) = turn.question().filter(|last| last.role == Role::User) else {
            return Err(EngineError::invalid("the last message must have the role `user`"));
        };
        // The same limits as for messages that are added.
        check_text(&last.content).map_err(|fault| EngineError::invalid(format!("the last message {fault}")))?;
        let filter = Filter::of_scope(&turn.scope)
            .ok_or_else(|| EngineError::invalid("at least one of user_id, agent_id, run_id is required"))?;
        let search = SearchRequest { top_k: TOP_K, ..SearchRequest::new(last.content.as_str(), filter) };
        let mut budget = MEMORY_TOKENS * CHARS_PER_TOKEN;
        let mut memories = Vec::new();
        let mut lines = Vec::new();
        for hit in self.search(&search)?.hits {
            let date = hit.memory.happened_at().map(|time| time.strftime("%Y-%m-%d").to_string());
            let line = json!({"id": label(memories.len()), "date": date, "text": hit.memory.payload.text()});
            // No text can close the block of memories.
            let line = line.to_string().replace('<', "\\u003c");
            let Some(left) = budget.checked_sub(line.chars().count()) else { continue };
            budget = left;
            lines.push(line);
            memories.push(hit);
        }
        let mut messages = vec![system_message(&lines)];
        messages.extend(conversation(&turn.messages, last));
        Ok(ChatContext { memories, request: ChatRequest { messages, json: None, max_tokens: turn.max_tokens }, lines })
    }

    /// The model's answer. With `stream` it is also handed over in parts as it is generated. If the prompt is too long for the
    /// model, the oldest messages and the last memories are left out, also of `context`, but never the last message.
    ///
    /// # Errors
    /// [`EngineError::NoLanguageModel`], or the model's failure.
    pub fn reply(&self, context: &mut ChatContext, mut stream: Option<OnDelta<'_>>) -> Result<ChatAnswer> {
        let llm = self.require_language_model()?;
        let start = Instant::now();
        loop {
            let answer = match &mut stream {
                Some(on_part) => llm.chat_stream(&context.request, on_part),
                None => llm.chat(&context.request),
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => EngineError::from(error),
            };
            if !error.may_be_too_long() || start.elapsed() > MAX_SHORTENING || !context.shorten() {
                return Err(error);
            }
        }
    }

    fn require_language_model(&self) -> Result<&dyn mnemon_models::ChatModel> {
        self.language_model().ok_or(EngineError::NoLanguageModel("chat"))
    }
}

/// The instruction with the memories.
fn system_message(lines: &[String]) -> ChatMessage {
    let today = Timestamp::now().strftime("%A, %-d %B %Y");
    let memories = lines.join(",\n");
    ChatMessage::new(ChatRole::System, format!("{CHAT}\nToday is {today}.\n\n<memories>\n[{memories}]\n</memories>"))
}

/// Leaves out the older half of the messages between the instructions and the last message; returns whether there were
/// any.
fn shorten(messages: &mut Vec<ChatMessage>) -> bool {
    let last = messages.len().saturating_sub(1);
    let old = messages[..last].iter().filter(|message| message.role != ChatRole::System).count();
    let mut left = old.div_ceil(2);
    messages.retain(|message| {
        let is_left_out = left > 0 && message.role != ChatRole::System;
        left -= usize::from(is_left_out);
        !is_left_out
    });
    old > 0
}

/// The name of a memory in the prompt.
fn label(index: usize) -> String {
    format!("m{}", index + 1)
}

/// The instructions and the end of the conversation, as far as the budget allows.
fn conversation(messages: &[Message], question: &Message) -> Vec<ChatMessage> {
    let mut budget = CONVERSATION_TOKENS * CHARS_PER_TOKEN;
    let mut kept: Vec<ChatMessage> = Vec::new();
    // Models reject messages without text, such as an agent's tool calls.
    let with_text = messages.iter().filter(|message| !message.is_blank());
    for message in with_text.rev() {
        let chars = message.content.chars().count();
        let role = match &message.role {
            role if role.is_instruction() => ChatRole::System,
            Role::Assistant => ChatRole::Assistant,
            Role::System | Role::User | Role::Other(_) => ChatRole::User,
        };
        // The question and the instructions are never left out.
        if !std::ptr::eq(message, question) && role != ChatRole::System && chars > budget {
            budget = 0;
            continue;
        }
        budget = budget.saturating_sub(chars);
        kept.push(ChatMessage::new(role, message.content.as_str()));
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_are_left_out_first() {
        let message =
            |role: &str, chars: usize| Message { role: role.into(), content: "x".repeat(chars), ..Message::default() };
        let lens = |messages: &[Message]| {
            let turn = ChatTurn { messages: messages.to_vec(), ..ChatTurn::default() };
            let kept = conversation(&turn.messages, turn.question().unwrap());
            kept.iter().map(|message| message.content.len()).collect::<Vec<_>>()
        };
        assert_eq!(lens(&[message("user", 5), message("assistant", 6), message("user", 7)]), [5, 6, 7]);
        let long = [message("system", 9), message("user", 5), message("assistant", 40_000), message("user", 20_000)];
        assert_eq!(lens(&long), [9, 20_000]);
        assert_eq!(lens(&[message("user", 5), message("user", 90_000)]), [90_000]);
        assert_eq!(lens(&[message("assistant", 0), message("tool", 3), message("user", 1)]), [3, 1]);
        let in_a_loop = [message("user", 5), message("assistant", 0), message("Tool", 7), message("Developer", 2)];
        assert_eq!(lens(&in_a_loop), [5, 7, 2]);
        assert_eq!(lens(&[message("user", 5), message("tool", 90_000)]), [5]);
    }

    #[test]
    fn a_conversation_is_shortened_down_to_its_last_message() {
        use ChatRole::{Assistant, System, User};
        let mut messages: Vec<ChatMessage> = [System, User, Assistant, System, User, User]
            .into_iter()
            .enumerate()
            .map(|(n, role)| ChatMessage::new(role, n.to_string()))
            .collect();
        let mut steps = Vec::new();
        while shorten(&mut messages) {
            steps.push(messages.iter().map(|message| message.content.as_str()).collect::<String>());
        }
        assert_eq!(steps, ["0345", "035"]);
    }

    #[test]
    fn only_whole_labels_are_citations() {
        let context = ChatContext { memories: Vec::new(), request: ChatRequest::default(), lines: Vec::new() };
        let answer = "You live in Lisbon [m1], near [m12].";
        assert!(context.cites(answer, 0) && context.cites(answer, 11));
        assert!(!context.cites(answer, 1) && !context.cites("item1", 0));
    }
}
