//! `mnemon history`: the events of a memory.

use mnemon_store::HistoryEvent;
use serde_json::json;

use super::input;
use crate::error::Exit;
use crate::output::{Output, truncate};
use crate::settings::Settings;
use crate::wiring;

/// Which memory's history to show.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// The memory's id; deleted memories keep their history
    id: String,
}

pub(crate) fn run(args: &HistoryArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let id = input::memory_id(&args.id)?;
    let events = wiring::open_engine_any_embedder(settings)?.history(id)?;
    if events.is_empty() {
        out.note("no history for this id");
    }
    out.value(&json!(events), |_| events.iter().map(|event| line(event, out.width())).collect())?;
    Ok(Exit::Ok)
}

fn line(event: &HistoryEvent, width: usize) -> String {
    let time = event.updated_at.as_ref().or(event.created_at.as_ref()).map_or("", String::as_str);
    let time: String = time.chars().take(19).collect();
    let text = event.new_memory.as_ref().or(event.old_memory.as_ref()).map_or("", String::as_str);
    format!("{:<19}  {:<6}  {}\n", truncate(&time, 19), truncate(event.event.as_str(), 6), truncate(text, width - 29))
}
