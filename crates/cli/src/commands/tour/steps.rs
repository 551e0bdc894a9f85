//! The steps of the tour: it fills a store, asks, changes and deletes.

use anyhow::Context;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mnemon_engine::{AddRequest, Engine, Message, SearchAnswer, SearchRequest, UpdateRequest};
use mnemon_store::{Filter, HistoryEvent, Memory, Scope};

use super::story::{CORRECTION, Conversation, FACTS, FRIENDS, LONER};

/// What was asked, of whose memories, and the answer.
pub(super) struct Asked {
    pub(super) user: &'static str,
    pub(super) question: &'static str,
    pub(super) answer: SearchAnswer,
}

/// A fact that was corrected, then deleted.
pub(super) struct Corrected {
    pub(super) before: String,
    pub(super) after: Memory,
    pub(super) history: Vec<HistoryEvent>,
    pub(super) left: usize,
}

/// Remembers a conversation; every message is a memory.
pub(super) fn tell(conversation: &Conversation, engine: &Engine) -> anyhow::Result<usize> {
    let begun: DateTime = conversation.begun.parse().context("a date of the story")?;
    let begun = begun.to_zoned(TimeZone::UTC)?.timestamp();
    let message = |(minute, (name, content)): (i64, &(&str, &str))| {
        anyhow::Ok(Message {
            role: "user".into(),
            content: (*content).into(),
            name: Some((*name).into()),
            timestamp: Some(begun.checked_add(jiff::Span::new().minutes(minute))?),
        })
    };
    let request = AddRequest {
        scope: Scope::user(FRIENDS)?,
        messages: (0..).zip(conversation.said).map(message).collect::<anyhow::Result<_>>()?,
        session: Some(conversation.name.into()),
        ..AddRequest::default()
    };
    Ok(engine.add(request)?.len())
}

/// Remembers facts, each by itself.
pub(super) fn tell_facts(engine: &Engine) -> anyhow::Result<usize> {
    let message = |fact: &&str| Message { role: "user".into(), content: (*fact).into(), ..Message::default() };
    let messages = FACTS.iter().map(message).collect();
    let request = AddRequest { scope: Scope::user(LONER)?, messages, unordered: true, ..AddRequest::default() };
    Ok(engine.add(request)?.len())
}

pub(super) fn ask(engine: &Engine, user: &'static str, question: &'static str) -> anyhow::Result<Asked> {
    let filter = Filter::eq("user_id", user)?;
    let request = SearchRequest { top_k: 2, explain: true, ..SearchRequest::new(question, filter) };
    Ok(Asked { user, question, answer: engine.search(&request)? })
}

/// A fact changes, and is deleted in the end; its history stays.
pub(super) fn correct(engine: &Engine) -> anyhow::Result<Corrected> {
    let (question, text) = CORRECTION;
    let found = ask(engine, LONER, question)?.answer.hits;
    let before = &found.first().context("the tour lost its example")?.memory;
    let after = engine.update(before.id, &UpdateRequest { text: Some(text.into()), ..UpdateRequest::default() })?;
    engine.delete(before.id)?;
    Ok(Corrected {
        before: before.payload.text().to_owned(),
        after,
        history: engine.history(before.id)?,
        left: engine.stats(&Scope::user(LONER)?)?.memories,
    })
}
