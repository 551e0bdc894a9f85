//! The steps of the tour: add, search, update, delete.

use anyhow::Context;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mnemon_engine::{AddRequest, Engine, Message, SearchAnswer, SearchRequest, UpdateRequest};
use mnemon_store::{Filter, HistoryEvent, Memory, Role, Scope};

use super::story::{CORRECTION, Conversation, FACTS, OTHER_USER, USER};

/// A question about a user's memories, and the answer.
pub(super) struct AnsweredQuestion {
    pub(super) user: &'static str,
    pub(super) question: &'static str,
    pub(super) answer: SearchAnswer,
}

/// A fact that was corrected and then deleted.
pub(super) struct Correction {
    pub(super) before: String,
    pub(super) after: Memory,
    pub(super) history: Vec<HistoryEvent>,
    /// Memories of the user after the deletion.
    pub(super) remaining: usize,
}

/// Adds a conversation; every message becomes a memory.
pub(super) fn add_conversation(conversation: &Conversation, engine: &Engine) -> anyhow::Result<usize> {
    let start: DateTime = conversation.start.parse().context("a date of the story")?;
    let start = start.to_zoned(TimeZone::UTC)?.timestamp();
    let message = |(minute, (name, content)): (i64, &(&str, &str))| {
        anyhow::Ok(Message {
            role: Role::User,
            content: (*content).into(),
            name: Some((*name).into()),
            timestamp: Some(start.checked_add(jiff::Span::new().minutes(minute))?),
            ..Message::default()
        })
    };
    let request = AddRequest {
        scope: Scope::user(USER)?,
        messages: (0..).zip(conversation.messages).map(message).collect::<anyhow::Result<_>>()?,
        session: Some(conversation.name.into()),
        ..AddRequest::default()
    };
    Ok(engine.add(request)?.len())
}

/// Adds facts that belong to no session.
pub(super) fn add_facts(engine: &Engine) -> anyhow::Result<usize> {
    let message = |fact: &&str| Message { content: (*fact).into(), ..Message::default() };
    let messages = FACTS.iter().map(message).collect();
    let request = AddRequest { scope: Scope::user(OTHER_USER)?, messages, unordered: true, ..AddRequest::default() };
    Ok(engine.add(request)?.len())
}

pub(super) fn ask(engine: &Engine, user: &'static str, question: &'static str) -> anyhow::Result<AnsweredQuestion> {
    let filter = Filter::eq("user_id", user)?;
    let request = SearchRequest { top_k: 2, explain: true, ..SearchRequest::new(question, filter) };
    Ok(AnsweredQuestion { user, question, answer: engine.search(&request)? })
}

/// Updates a fact and then deletes it. Its history remains.
pub(super) fn correct(engine: &Engine) -> anyhow::Result<Correction> {
    let (question, text) = CORRECTION;
    let found = ask(engine, OTHER_USER, question)?.answer.hits;
    let before = &found.first().context("the tour did not find its example")?.memory;
    let after = engine.update(before.id, &UpdateRequest { text: Some(text.into()), ..UpdateRequest::default() })?;
    engine.delete(before.id)?;
    Ok(Correction {
        before: before.payload.text().to_owned(),
        after,
        history: engine.history(before.id)?,
        remaining: engine.stats(&Scope::user(OTHER_USER)?)?.memories,
    })
}
