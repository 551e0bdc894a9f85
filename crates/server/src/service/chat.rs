//! A turn of a conversation with memory: recalling memories for it, and extracting facts from it.

use std::sync::Arc;

use mnemon_engine::{AddRequest, ChatContext, ChatTurn, LearnRequest, MAX_TEXT_BYTES, Message};
use mnemon_store::{Role, Scope};

use super::app::App;
use crate::auth::Caller;
use crate::error::Problem;

/// A turn of a conversation.
pub(crate) struct Turn {
    pub(crate) turn: ChatTurn,
    /// The owner of the facts that are extracted from the turn.
    scope: Scope,
    /// Whether facts are extracted from the turn.
    pub(crate) remember: bool,
}

impl Turn {
    /// A turn under a scope from [`Caller::scope`]. The model sees the memories of the user with
    /// all agents and runs; without a user the memories of the agent, and without an agent those of the run.
    ///
    /// # Errors
    /// 403 if the turn is to be remembered, which is the default, and the caller may not write.
    pub(crate) fn new(
        caller: &Caller,
        scope: Scope,
        messages: Vec<Message>,
        max_tokens: Option<u32>,
        remember: Option<bool>,
    ) -> Result<Self, Problem> {
        let remember = remember.unwrap_or(true);
        if remember && !caller.access.write {
            return Err(Problem::missing_scope("write"));
        }
        let recall_scope = match (&scope.user_id, &scope.agent_id) {
            (Some(user), _) => Scope { user_id: Some(user.clone()), ..Scope::default() },
            (None, Some(agent)) => Scope { agent_id: Some(agent.clone()), ..Scope::default() },
            (None, None) => scope.clone(),
        };
        Ok(Self { turn: ChatTurn { scope: recall_scope, messages, max_tokens }, scope, remember })
    }

    /// The request to extract facts from this turn: from the message that is answered, and from as much of the answer as fits into
    /// a message. Earlier messages were handled in their own turns.
    pub(crate) fn learn_request(&self, answer: &str) -> LearnRequest {
        let mut messages: Vec<Message> = self.turn.question().cloned().into_iter().collect();
        let content = answer[..answer.floor_char_boundary(MAX_TEXT_BYTES)].to_owned();
        messages.push(Message { role: Role::Assistant, content, ..Message::default() });
        let add = AddRequest { scope: self.scope.clone(), messages, ..AddRequest::default() };
        LearnRequest { add, ..LearnRequest::default() }
    }
}

impl App {
    /// Finds the memories for a turn.
    pub(crate) async fn chat_context(self: &Arc<Self>, turn: Turn) -> Result<(Turn, ChatContext), Problem> {
        let app = self.clone();
        self.blocking(move || {
            let context = app.engine.chat_context(&turn.turn)?;
            Ok((turn, context))
        })
        .await?
    }
}
