//! `mnemon get`: one memory with its entities and links.

use mnemon_engine::MemoryDetail;
use serde_json::{Value, json};

use super::input;
use crate::error::Exit;
use crate::output::{Output, memory_to_json};
use crate::settings::Settings;
use crate::wiring;

/// Which memory to show.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The memory's id
    id: String,
}

pub(crate) fn run(args: &GetArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let id = input::memory_id(&args.id)?;
    let detail = wiring::open_engine_any_embedder(settings)?.detail(id)?;
    out.value(&to_json(&detail), |json| to_text(json, &detail, out))?;
    Ok(Exit::Ok)
}

fn to_json(detail: &MemoryDetail) -> Value {
    let mut json = memory_to_json(&detail.memory, None);
    json["entities"] = detail
        .entities
        .iter()
        .map(|entity| json!({"text": entity.text(), "type": entity.kind(), "memories": entity.memories.len()}))
        .collect();
    json["links"] = detail
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
    json
}

/// The whole text, then one line per key.
fn to_text(json: &Value, detail: &MemoryDetail, out: &Output) -> String {
    let sanitized = |text: &str| text.lines().map(crate::output::one_line).collect::<Vec<_>>().join("\n");
    let mut text = format!("{}\n\n", sanitized(detail.memory.payload.text()));
    let mut line = |key: &str, value: &str| text.push_str(&format!("{} {value}\n", out.dim(&format!("{key:<16}"))));
    for (key, value) in json.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("memory" | "entities" | "links", _) | (_, Value::Null) => {}
            (key, Value::String(value)) => line(key, &sanitized(value)),
            (key, value) => line(key, &sanitized(&value.to_string())),
        }
    }
    for entity in &detail.entities {
        let others = entity.memories.len().saturating_sub(1);
        let others = if others == 0 { String::new() } else { format!(", in {others} more") };
        line("entity", &format!("{} ({}{others})", sanitized(entity.text()), entity.kind().to_lowercase()));
    }
    for link in &detail.links {
        if link.source == detail.memory.id {
            line("links to", &format!("{} ({})", link.target, sanitized(&link.kind)));
        } else {
            line("linked from", &format!("{} ({})", link.source, sanitized(&link.kind)));
        }
    }
    text
}
