//! `mnemon tour`: what it does, on a small example that is gone when it ends.

mod story;
mod telling;

use anyhow::Context;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mnemon_engine::{AddRequest, Engine, Message, SearchAnswer, SearchRequest, UpdateRequest};
use mnemon_store::{Filter, HistoryEvent, Memory, Scope};
use serde_json::{Value, json};

use super::history::row;
use super::search::to_json;
use crate::exit::Exit;
use crate::output::{Output, item};
use crate::settings::Settings;
use story::{CORRECTION, Conversation, FACTS, FRIENDS, LONER, NEXT, QUESTIONS, STORY};

/// Nothing to choose.
#[derive(Debug, clap::Args)]
#[command(after_help = "Everything happens in a temporary store; yours is not touched.")]
pub(crate) struct TourArgs {}

/// What was asked, of whose memories, and the answer.
struct Asked {
    user: &'static str,
    question: &'static str,
    answer: SearchAnswer,
}

/// A fact that was corrected, then deleted.
struct Corrected {
    before: String,
    after: Memory,
    history: Vec<HistoryEvent>,
    left: usize,
}

pub(crate) fn run(_: &TourArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let engine = settings.open_engine_at(&folder.path().join("tour.db"))?;
    let messages = STORY.iter().try_fold(0, |count, conversation| anyhow::Ok(count + tell(conversation, &engine)?))?;
    let facts = tell_facts(&engine)?;
    let asked =
        QUESTIONS.iter().map(|(user, question)| ask(&engine, user, question)).collect::<anyhow::Result<Vec<_>>>()?;
    let corrected = correct(&engine)?;
    let answer = json!({
        "remembered": {FRIENDS: messages, LONER: facts},
        "questions": asked.iter().map(of_question).collect::<Vec<_>>(),
        "corrected": {
            "before": corrected.before,
            "after": item(&corrected.after, None),
            "history": corrected.history.iter().map(row).collect::<Vec<_>>(),
            "left": corrected.left,
        },
        "next": NEXT,
    });
    out.value(&answer, |_| telling::tell(messages, facts, &asked, &corrected, out))?;
    Ok(Exit::Ok)
}

fn of_question(asked: &Asked) -> Value {
    let mut shown = json!({"user_id": asked.user, "question": asked.question});
    let answer = to_json(&asked.answer);
    shown["ranking"] = answer["ranking"].clone();
    shown["results"] = answer["results"].clone();
    shown
}

/// Remembers a conversation; every message is a memory.
fn tell(conversation: &Conversation, engine: &Engine) -> anyhow::Result<usize> {
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
fn tell_facts(engine: &Engine) -> anyhow::Result<usize> {
    let message = |fact: &&str| Message { role: "user".into(), content: (*fact).into(), ..Message::default() };
    let messages = FACTS.iter().map(message).collect();
    let request = AddRequest { scope: Scope::user(LONER)?, messages, unordered: true, ..AddRequest::default() };
    Ok(engine.add(request)?.len())
}

fn ask(engine: &Engine, user: &'static str, question: &'static str) -> anyhow::Result<Asked> {
    let filter = Filter::eq("user_id", user)?;
    let request = SearchRequest { top_k: 2, explain: true, ..SearchRequest::new(question, filter) };
    Ok(Asked { user, question, answer: engine.search(&request)? })
}

/// A fact changes, and is deleted in the end; its history stays.
fn correct(engine: &Engine) -> anyhow::Result<Corrected> {
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
