//! `mnemon stats`: counts of a scope or of the whole store.

use mnemon_store::{OwnerKind, ScopeSummary, StoreInfo};
use serde_json::{Map, Value, json};

use crate::args::ScopeArgs;
use crate::error::Exit;
use crate::output::{Output, one_line, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// Whose statistics.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --user, --agent or --run (and without defaults for them), it shows the whole store.")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    scope: ScopeArgs,
}

pub(crate) fn run(args: &StatsArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    match settings.scope(&args.scope)? {
        Some(scope) => {
            let engine = wiring::open_engine_any_embedder(settings)?;
            let summary = engine.stats(&scope)?;
            let parked = engine.parked_requests(None, usize::MAX)?;
            let own = parked.iter().filter(|request| {
                scope.ids().iter().zip(request.scope.ids()).all(|(id, own)| id.is_none() || *id == own)
            });
            let mut answer = Map::new();
            for (key, id) in mnemon_store::SCOPE_KEYS.into_iter().zip(scope.ids()) {
                answer.extend(id.map(|id| (key.to_owned(), Value::from(id))));
            }
            answer.extend(summary_to_json(&summary));
            answer.insert("parked".to_owned(), own.count().into());
            out.value(&answer.into(), lines)?;
        }
        None => {
            let engine = wiring::open_engine_any_embedder(settings)?;
            let info = engine.store().info()?;
            let mut users = engine.owners(None)?;
            users.retain(|owner| owner.kind == OwnerKind::User);
            let answer = json!({
                "store": store_to_json(&info),
                "parked": engine.pending_jobs()?.parked,
                "users": users.iter().map(|user| json!({"user_id": user.id, "memory_count": user.memories})).collect::<Vec<_>>(),
            });
            out.value(&answer, |answer| {
                let mut text = lines(&answer["store"]);
                text.push_str(&format!("{:<13} {}\n", "parked", answer["parked"]));
                text.push_str(&format!("\n{}\n", pluralize(users.len(), "user", "users")));
                for user in &users {
                    text.push_str(&format!("  {:>9}  {}\n", user.memories, one_line(&user.id)));
                }
                text
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn summary_to_json(summary: &ScopeSummary) -> Vec<(String, Value)> {
    vec![
        ("memory_count".to_owned(), summary.memories.into()),
        ("entities".to_owned(), summary.entities.into()),
        ("links".to_owned(), summary.links.into()),
        ("first".to_owned(), summary.first.clone().into()),
        ("last".to_owned(), summary.last.clone().into()),
    ]
}

/// The store's location, embedder and counts.
pub(super) fn store_to_json(info: &StoreInfo) -> Value {
    json!({
        "location": info.location,
        "schema": info.schema,
        "embedder": info.embedder,
        "dims": info.dims,
        "memories": info.memories,
        "entities": info.entities,
        "links": info.links,
        "history": info.history,
        "messages": info.messages,
        "bytes": info.bytes,
    })
}

/// One line per key.
pub(super) fn lines(map: &Value) -> String {
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), one_line);
    let entries = map.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    entries.map(|(key, entry)| format!("{:<13} {}\n", key.replace('_', " "), value(entry))).collect()
}
