//! `mnemon history`: the events of a memory.

use mnemon_store::HistoryEvent;
use serde_json::{Value, json};

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
    let rows: Vec<Value> = events.iter().map(row).collect();
    out.value(&Value::from(rows), |_| events.iter().map(|event| line(event, out.width())).collect())?;
    Ok(Exit::Ok)
}

/// A row of mem0's history table.
pub(super) fn row(event: &HistoryEvent) -> Value {
    json!({
        "id": event.id,
        "memory_id": event.memory_id,
        "old_memory": event.old_memory,
        "new_memory": event.new_memory,
        "event": event.event,
        "created_at": event.created_at,
        "updated_at": event.updated_at,
        "is_deleted": event.is_deleted,
        "actor_id": event.actor_id,
        "role": event.role,
    })
}

fn line(event: &HistoryEvent, width: usize) -> String {
    let time = event.updated_at.as_ref().or(event.created_at.as_ref()).map_or("", String::as_str);
    let time: String = time.chars().take(19).collect();
    let text = event.new_memory.as_ref().or(event.old_memory.as_ref()).map_or("", String::as_str);
    format!("{:<19}  {:<6}  {}\n", truncate(&time, 19), truncate(&event.event, 6), truncate(text, width - 29))
}
