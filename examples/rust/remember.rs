//! The engine as a library: store what a user said, ask, change, look back, delete. One SQLite file, the built-in embedder,
//! no server and no network.
//!
//!     cargo run -p mnemon-engine --example remember [FILE]

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use mnemon_engine::{AddRequest, Engine, EngineConfig, Message, SearchRequest, Signal, UpdateRequest};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Filter, Scope, SqliteStore};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    match std::env::args().nth(1) {
        Some(file) => remember(Path::new(&file), &mut out),
        None => remember(&tempfile::tempdir()?.path().join("memories.db"), &mut out),
    }
}

/// An engine on a SQLite file, which is created if it does not exist.
fn open(file: &Path) -> Result<Engine, Box<dyn Error>> {
    let embedder = StaticEmbedder::builtin()?;
    // The store keeps the name of the embedder and refuses vectors of another one.
    let options = SqliteOptions::new(file, embedder.fingerprint(), embedder.dims());
    let store = SqliteStore::open(options)?;
    Ok(Engine::new(Arc::new(store), Arc::new(embedder), EngineConfig::default()))
}

fn remember(file: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = open(file)?;

    // Each message becomes a memory. They are on disk when `add` returns.
    let alice = Scope::user("alice")?;
    let said = |text: &str| Message { content: text.into(), ..Message::default() };
    let added = engine.add(AddRequest {
        scope: alice.clone(),
        messages: vec![said("We moved to Lisbon in May."), said("I am allergic to peanuts.")],
        ..AddRequest::default()
    })?;
    writeln!(out, "stored {} memories", added.len())?;

    // A filter names whose memories are searched. `explain` says which signals made a score.
    let question = "where do we live?";
    let filter = Filter::eq("user_id", "alice")?;
    let answer = engine.search(&SearchRequest { top_k: 1, explain: true, ..SearchRequest::new(question, filter) })?;
    for hit in &answer.hits {
        writeln!(out, "{question} {}", hit.memory.payload.text())?;
        let signals = hit.explanation.iter().flat_map(|explanation| &explanation.signals);
        for Signal { kind, value, weight } in signals.filter(|signal| signal.value > 0.0) {
            writeln!(out, "  {:.2} = {value:.2} × {weight} {}", value * weight, kind.as_str())?;
        }
    }

    // The history keeps the old text.
    let moved = added[0].id;
    let correction = UpdateRequest { text: Some("We moved to Porto in May.".into()), ..UpdateRequest::default() };
    engine.update(moved, &correction)?;
    for event in engine.history(moved)? {
        writeln!(out, "history: {}", event.new_memory.unwrap_or_default())?;
    }

    writeln!(out, "deleted {} memories", engine.delete_all(&alice)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::remember;

    #[test]
    fn it_prints_what_it_found_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        remember(&folder.path().join("memories.db"), &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        // How much each signal counts is the ranking's matter.
        let (signals, story): (Vec<&str>, Vec<&str>) = printed.lines().partition(|line| line.starts_with("  "));
        assert!(signals.iter().any(|signal| signal.ends_with(" dense")), "{printed}");
        assert_eq!(
            story,
            [
                "stored 2 memories",
                "where do we live? We moved to Lisbon in May.",
                "history: We moved to Lisbon in May.",
                "history: We moved to Porto in May.",
                "deleted 2 memories",
            ]
        );
    }
}
