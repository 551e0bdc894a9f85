//! `mnemon tour`: the main features, shown with a small example in a temporary store.

mod render;
mod steps;
mod story;

use anyhow::Context;
use serde_json::{Value, json};

use super::search::to_json;
use crate::error::Exit;
use crate::output::{Output, memory_to_json};
use crate::settings::Settings;
use crate::wiring;
use steps::{AnsweredQuestion, add_conversation, add_facts, ask, correct};
use story::{NEXT, OTHER_USER, QUESTIONS, STORY, USER};

/// The tour has no options.
#[derive(Debug, clap::Args)]
#[command(after_help = "The tour uses a temporary store; your own store is not touched.")]
pub(crate) struct TourArgs {}

pub(crate) fn run(_: &TourArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let engine = wiring::open_engine_at(settings, &folder.path().join("tour.db"))?;
    let messages =
        STORY.iter().try_fold(0, |count, conversation| anyhow::Ok(count + add_conversation(conversation, &engine)?))?;
    let facts = add_facts(&engine)?;
    let answered =
        QUESTIONS.iter().map(|(user, question)| ask(&engine, user, question)).collect::<anyhow::Result<Vec<_>>>()?;
    let correction = correct(&engine)?;
    let answer = json!({
        "remembered": {USER: messages, OTHER_USER: facts},
        "questions": answered.iter().map(question_to_json).collect::<Vec<_>>(),
        "corrected": {
            "before": correction.before,
            "after": memory_to_json(&correction.after, None),
            "history": correction.history,
            "left": correction.remaining,
        },
        "next": NEXT,
    });
    out.value(&answer, |_| render::tour(messages, facts, &answered, &correction, out))?;
    Ok(Exit::Ok)
}

fn question_to_json(answered: &AnsweredQuestion) -> Value {
    let mut json = json!({"user_id": answered.user, "question": answered.question});
    let answer = to_json(&answered.answer);
    json["ranking"] = answer["ranking"].clone();
    json["results"] = answer["results"].clone();
    json
}
