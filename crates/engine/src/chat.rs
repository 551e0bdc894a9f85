//! Chat: what is remembered is put before the conversation, and the language model answers.

use std::ops::ControlFlow;

use jiff::Timestamp;
use mnemon_models::{ChatAnswer, ChatMessage, ChatRequest, ChatRole};
use mnemon_store::{Filter, Scope};
use serde_json::json;

use crate::add::check_text;
use crate::prompts::CHAT;
use crate::{Engine, EngineError, Message, Result, SearchHit, SearchRequest};

/// Memories looked at.
const TOP_K: usize = 20;
/// Memories take at most so many tokens of the context.
const MEMORY_TOKENS: usize = 2000;
/// The conversation takes at most so many; what was said first is left out first.
const CONVERSATION_TOKENS: usize = 12_000;
/// Characters a token, on the low side for languages written in letters.
const CHARS_PER_TOKEN: usize = 4;

/// Takes a piece of an answer, and says whether there is a use for more.
pub type OnDelta<'p> = &'p mut dyn FnMut(&str) -> ControlFlow<()>;

/// A conversation that waits for its next answer.
#[derive(Clone, Debug, Default)]
pub struct ChatTurn {
    /// Whose memory is used.
    pub scope: Scope,
    /// What was said, in order; the last message is answered. System messages are instructions to the model.
    pub messages: Vec<Message>,
    /// The most tokens of the answer.
    pub max_tokens: Option<u32>,
}

/// What is remembered that may bear on the conversation, and what the model is told.
#[derive(Clone, Debug)]
pub struct ChatContext {
    /// Best first; the model knows the first as `m1`, the second as `m2`, ….
    pub memories: Vec<SearchHit>,
    /// What the model is asked.
    pub request: ChatRequest,
}

impl ChatContext {
    /// Whether the answer cites the memory at this place.
    pub fn cites(&self, answer: &str, place: usize) -> bool {
        let label = label(place);
        answer.match_indices(&label).any(|(at, _)| {
            let after = answer[at + label.len()..].chars().next();
            let before = answer[..at].chars().next_back();
            let apart = |char: Option<char>| char.is_none_or(|char| !char.is_alphanumeric());
            apart(before) && apart(after)
        })
    }
}

impl Engine {
    /// Finds what bears on the last message, and puts it before the conversation.
    ///
    /// # Errors
    /// [`EngineError::NoLanguageModel`]; [`EngineError::Invalid`] if the last message is nobody's to answer.
    pub fn recall(&self, turn: &ChatTurn) -> Result<ChatContext> {
        self.must_chat()?;
        let last = turn.messages.last().filter(|last| last.role == "user");
        let Some(last) = last else {
            return Err(EngineError::invalid("the last message must be a user's"));
        };
        // As it could not be remembered either.
        check_text(&last.content).map_err(|fault| EngineError::invalid(format!("the last message {fault}")))?;
        let filter = Filter::of_scope(&turn.scope)
            .ok_or_else(|| EngineError::invalid("at least one of user_id, agent_id, run_id is required"))?;
        let search = SearchRequest { top_k: TOP_K, ..SearchRequest::new(last.content.as_str(), filter) };
        let mut room = MEMORY_TOKENS * CHARS_PER_TOKEN;
        let mut memories = Vec::new();
        let mut lines = Vec::new();
        for hit in self.search(&search)?.hits {
            let date = hit.memory.happened_at().map(|time| time.strftime("%Y-%m-%d").to_string());
            let line = json!({"id": label(memories.len()), "date": date, "text": hit.memory.payload.text()});
            // No text can end the block it stands in.
            let line = line.to_string().replace('<', "\\u003c");
            let Some(left) = room.checked_sub(line.chars().count()) else { continue };
            room = left;
            lines.push(line);
            memories.push(hit);
        }
        let today = Timestamp::now().strftime("%A, %-d %B %Y");
        let system = format!("{CHAT}\nToday is {today}.\n\n<memories>\n[{}]\n</memories>", lines.join(",\n"));
        let mut messages = vec![ChatMessage::new(ChatRole::System, system)];
        messages.extend(conversation(&turn.messages));
        Ok(ChatContext { memories, request: ChatRequest { messages, json: None, max_tokens: turn.max_tokens } })
    }

    /// The model's answer, piece by piece as it comes; a piece that is not wanted ends it.
    ///
    /// # Errors
    /// [`EngineError::NoLanguageModel`], or the model's failure.
    pub fn reply(&self, recalled: &ChatContext, stream: Option<OnDelta<'_>>) -> Result<ChatAnswer> {
        let llm = self.must_chat()?;
        Ok(match stream {
            Some(piece) => llm.chat_stream(&recalled.request, piece)?,
            None => llm.chat(&recalled.request)?,
        })
    }

    fn must_chat(&self) -> Result<&dyn mnemon_models::ChatModel> {
        self.language_model().ok_or(EngineError::NoLanguageModel("chat"))
    }
}

/// What the model knows a memory by.
fn label(place: usize) -> String {
    format!("m{}", place + 1)
}

/// The instructions, and the end of what was said, as far as there is room.
fn conversation(messages: &[Message]) -> Vec<ChatMessage> {
    let mut room = CONVERSATION_TOKENS * CHARS_PER_TOKEN;
    let mut kept: Vec<ChatMessage> = Vec::new();
    // Nobody takes a message without words, such as an agent's call of a tool.
    let said = messages.iter().filter(|message| !message.content.trim().is_empty());
    for (back, message) in said.rev().enumerate() {
        let chars = message.content.chars().count();
        let role = match message.role.as_str() {
            "system" | "developer" => ChatRole::System,
            "assistant" => ChatRole::Assistant,
            _ => ChatRole::User,
        };
        // What is to be answered is never left out, and neither are instructions.
        if back > 0 && role != ChatRole::System && chars > room {
            room = 0;
            continue;
        }
        room = room.saturating_sub(chars);
        kept.push(ChatMessage::new(role, message.content.as_str()));
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_first_is_left_out_first() {
        let said =
            |role: &str, chars: usize| Message { role: role.into(), content: "x".repeat(chars), ..Message::default() };
        let lens = |messages: &[Message]| conversation(messages).iter().map(|m| m.content.len()).collect::<Vec<_>>();
        assert_eq!(lens(&[said("user", 5), said("assistant", 6), said("user", 7)]), [5, 6, 7]);
        let long = [said("system", 9), said("user", 5), said("assistant", 40_000), said("user", 20_000)];
        assert_eq!(lens(&long), [9, 20_000]);
        assert_eq!(lens(&[said("user", 5), said("user", 90_000)]), [90_000]);
        assert_eq!(lens(&[said("assistant", 0), said("tool", 3), said("user", 1)]), [3, 1]);
    }

    #[test]
    fn citations_are_whole_labels() {
        let recalled = ChatContext { memories: Vec::new(), request: ChatRequest::default() };
        let answer = "You live in Lisbon [m1], near [m12].";
        assert!(recalled.cites(answer, 0) && recalled.cites(answer, 11));
        assert!(!recalled.cites(answer, 1) && !recalled.cites("item1", 0));
    }
}
