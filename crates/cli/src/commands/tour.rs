//! `mnemon tour`: what it does, on a small example that is gone when it ends.

mod render;
mod steps;
mod story;

use anyhow::Context;
use serde_json::{Value, json};

use super::history::row;
use super::search::to_json;
use crate::error::Exit;
use crate::output::{Output, item};
use crate::settings::Settings;
use crate::wiring;
use steps::{Asked, ask, correct, tell, tell_facts};
use story::{FRIENDS, LONER, NEXT, QUESTIONS, STORY};

/// Nothing to choose.
#[derive(Debug, clap::Args)]
#[command(after_help = "Everything happens in a temporary store; yours is not touched.")]
pub(crate) struct TourArgs {}

pub(crate) fn run(_: &TourArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let engine = wiring::open_engine_at(settings, &folder.path().join("tour.db"))?;
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
    out.value(&answer, |_| render::tour(messages, facts, &asked, &corrected, out))?;
    Ok(Exit::Ok)
}

fn of_question(asked: &Asked) -> Value {
    let mut shown = json!({"user_id": asked.user, "question": asked.question});
    let answer = to_json(&asked.answer);
    shown["ranking"] = answer["ranking"].clone();
    shown["results"] = answer["results"].clone();
    shown
}
