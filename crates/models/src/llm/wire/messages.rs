//! The messages of a request, for the APIs that have system messages among them.

use serde_json::{Value, json};

use crate::llm::chat::{ChatRequest, ChatRole};
use crate::llm::quirks::Quirks;

/// The messages of a request. If the model knows no system messages, their texts begin the first message, which is the
/// user's, and the roles of the others take turns.
pub(super) fn messages(request: &ChatRequest, quirks: &Quirks) -> Value {
    let mut turns: Vec<(ChatRole, String)> = Vec::new();
    if quirks.no_system {
        let system = request.messages.iter().filter(|message| message.role == ChatRole::System);
        turns.extend(system.map(|message| (ChatRole::User, message.content.clone())));
        turns.extend(
            request
                .messages
                .iter()
                .filter(|message| message.role != ChatRole::System)
                .map(|message| (message.role, message.content.clone())),
        );
        turns = turns.into_iter().fold(Vec::new(), |mut turns: Vec<(ChatRole, String)>, (role, text)| {
            match turns.last_mut().filter(|(last, _)| *last == role) {
                Some((_, content)) => *content = format!("{content}\n\n{text}"),
                None => turns.push((role, text)),
            }
            turns
        });
    } else {
        turns.extend(request.messages.iter().map(|message| (message.role, message.content.clone())));
    }
    turns.iter().map(|(role, content)| json!({"role": role.as_str(), "content": content})).collect()
}
