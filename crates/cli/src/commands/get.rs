//! `mnemon get`: one memory, the names in it, and its links.

use mnemon_engine::MemoryDetail;
use serde_json::{Value, json};

use super::input;
use crate::error::Exit;
use crate::output::{Output, item};
use crate::settings::Settings;
use crate::wiring;

/// Which memory.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// Its id
    id: String,
}

pub(crate) fn run(args: &GetArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let id = input::memory_id(&args.id)?;
    let detail = wiring::open_engine_any_embedder(settings)?.detail(id)?;
    out.value(&to_json(&detail), |shown| for_people(shown, &detail, out))?;
    Ok(Exit::Ok)
}

fn to_json(detail: &MemoryDetail) -> Value {
    let mut shown = item(&detail.memory, None);
    shown["entities"] = detail
        .entities
        .iter()
        .map(|entity| json!({"text": entity.text(), "type": entity.kind(), "memories": entity.memories.len()}))
        .collect();
    shown["links"] = detail
        .links
        .iter()
        .map(|link| {
            json!({
                "source": link.source.to_string(),
                "target": link.target.to_string(),
                "kind": link.kind,
                "created_at": link.created_at,
            })
        })
        .collect();
    shown
}

/// The text whole, then a line a key.
fn for_people(shown: &Value, detail: &MemoryDetail, out: &Output) -> String {
    let harmless = |text: &str| text.lines().map(crate::output::one_line).collect::<Vec<_>>().join("\n");
    let mut text = format!("{}\n\n", harmless(detail.memory.payload.text()));
    let mut line = |key: &str, value: &str| text.push_str(&format!("{} {value}\n", out.dim(&format!("{key:<16}"))));
    for (key, value) in shown.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("memory" | "entities" | "links", _) | (_, Value::Null) => {}
            (key, Value::String(value)) => line(key, &harmless(value)),
            (key, value) => line(key, &harmless(&value.to_string())),
        }
    }
    for entity in &detail.entities {
        let others = entity.memories.len().saturating_sub(1);
        let elsewhere = if others == 0 { String::new() } else { format!(", also in {others} more") };
        line("names", &format!("{} ({}{elsewhere})", harmless(entity.text()), entity.kind().to_lowercase()));
    }
    for link in &detail.links {
        if link.source == detail.memory.id {
            line("links to", &format!("{} ({})", link.target, harmless(&link.kind)));
        } else {
            line("linked from", &format!("{} ({})", link.source, harmless(&link.kind)));
        }
    }
    text
}
