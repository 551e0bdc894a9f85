//! Rates and latencies: embedding, import of verbatim memories end to end, search in a large scope and in a small one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mnemon_cli::figures::{percentile, rounded};
use mnemon_cli::{Output, Settings, wiring};
use mnemon_engine::{Engine, ImportOptions, Profile, SearchRequest};
use mnemon_store::{Filter, Scope};
use serde_json::{Value, json};

use crate::sentences::Sentences;

/// Memories of each of the other users.
const MEMORIES_OF_OTHERS: usize = 1000;
/// Messages in one session.
const SESSION: usize = 50;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub struct SpeedArgs {
    /// Memories of the large user
    #[arg(long, default_value_t = 100_000)]
    memories: usize,
    /// Number of further users, with 1,000 memories each
    #[arg(long, default_value_t = 0)]
    others: usize,
    /// Number of searches for each figure
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Write the store to this file, which must not exist, and keep it
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

/// Measures and prints the result.
///
/// # Errors
/// Those of the store and the engine.
pub fn run(args: &SpeedArgs, settings: &Settings, out: &Output) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = args.keep.clone().unwrap_or_else(|| folder.path().join("bench.db"));
    anyhow::ensure!(!path.exists(), "{} exists: give a new path", path.display());
    let engine = wiring::open_engine_at(settings, &path)?;
    let mut answer = json!({"embed_texts_per_second": embed_rate(settings)?.round()});

    let chat = folder.path().join("chat.jsonl");
    let mut seconds = 0.0;
    let mut memories = 0;
    let users = std::iter::once(("large".to_owned(), args.memories))
        .chain((0..args.others).map(|number| (format!("small-{number}"), MEMORIES_OF_OTHERS)));
    for (user, count) in users.filter(|(_, count)| *count > 0) {
        write_chat(&chat, &user, count)?;
        let options = ImportOptions { scope: Some(Scope::user(&user)?), ..ImportOptions::default() };
        let start = Instant::now();
        let imported = engine.import(&chat, &options, &mut |_| {})?;
        seconds += start.elapsed().as_secs_f64();
        anyhow::ensure!(imported.refused.is_empty(), "{:?}", imported.refused.first());
        memories += imported.stored.memories;
    }
    answer["memories"] = memories.into();
    answer["import_per_second"] = (memories as f64 / seconds).round().into();
    for (scope, user, count) in [
        ("large", "large".to_owned(), args.memories),
        ("small", "small-0".to_owned(), args.others.min(1) * MEMORIES_OF_OTHERS),
    ] {
        if count > 0 {
            answer["search"][scope] = json!({
                "memories": count,
                "fusion_ms": latencies(&engine, &user, args.queries, Profile::Fusion)?,
                "mem0_ms": latencies(&engine, &user, args.queries, Profile::Mem0)?,
            });
        }
    }
    answer["store_bytes"] = engine.store().info()?.bytes.into();
    out.value(&answer, |answer| format!("{answer:#}\n"))
}

fn embed_rate(settings: &Settings) -> anyhow::Result<f64> {
    let embedder = wiring::embedder(settings)?;
    let mut sentences = Sentences::new(7);
    let texts: Vec<String> = (0..20_000).map(|_| sentences.statement()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Fills caches before the measurement.
    embedder.embed(&texts[..1000])?;
    let start = Instant::now();
    embedder.embed(&texts)?;
    Ok(texts.len() as f64 / start.elapsed().as_secs_f64())
}

fn write_chat(path: &Path, user: &str, count: usize) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut sentences = Sentences::new(user.bytes().map(u64::from).sum());
    for number in 0..count {
        let role = if number % 2 == 0 { "user" } else { "assistant" };
        let session = format!("session {}", number / SESSION);
        writeln!(file, "{}", json!({"role": role, "content": sentences.statement(), "session": session}))?;
    }
    file.flush()?;
    Ok(())
}

/// The median, the 95th percentile, and the first latency, which includes loading the scope from disk.
fn latencies(engine: &Engine, user: &str, queries: usize, profile: Profile) -> anyhow::Result<Value> {
    let mut sentences = Sentences::new(99);
    let mut times = Vec::with_capacity(queries);
    for _ in 0..=queries {
        let mut request = SearchRequest::new(sentences.question(), Filter::eq("user_id", user)?);
        request.profile = profile;
        let start = Instant::now();
        engine.search(&request)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(json!({
        "first": rounded(first, 2),
        "p50": rounded(percentile(&times, 0.5), 3),
        "p95": rounded(percentile(&times, 0.95), 3),
    }))
}
