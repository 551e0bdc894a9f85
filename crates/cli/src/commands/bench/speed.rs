//! Rates and latencies: embedding, import of verbatim memories end to end, search in a large scope and in a small one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mnemon_engine::{Engine, ImportOptions, Profile, SearchRequest};
use mnemon_store::{Filter, Scope};
use serde_json::{Value, json};

use super::figures::{percentile, rounded};
use super::speech::Speech;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// Memories of each of the other users.
const OTHERS_HAVE: usize = 1000;
/// Messages of one session.
const SESSION: usize = 50;

#[derive(Debug, clap::Args)]
pub(super) struct SpeedArgs {
    /// Memories of one user.
    #[arg(long, default_value_t = 100_000)]
    memories: usize,
    /// Users with 1,000 memories each beside that one.
    #[arg(long, default_value_t = 0)]
    others: usize,
    /// Questions asked.
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Keep the store at this file, which must not exist yet, instead of a temporary one.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

pub(super) fn run(args: &SpeedArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir()?;
    let path = args.keep.clone().unwrap_or_else(|| folder.path().join("bench.db"));
    anyhow::ensure!(!path.exists(), "{} exists already; give a new path", path.display());
    let engine = wiring::open_engine_at(settings, &path)?;
    let mut answer = json!({"embed_texts_per_second": embed_rate(settings)?.round()});

    let chat = folder.path().join("chat.jsonl");
    let mut seconds = 0.0;
    let mut memories = 0;
    let users = std::iter::once(("large".to_owned(), args.memories))
        .chain((0..args.others).map(|number| (format!("small-{number}"), OTHERS_HAVE)));
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
    for (scope, user, present) in
        [("large", "large".to_owned(), args.memories > 0), ("small", "small-0".to_owned(), args.others > 0)]
    {
        if present {
            answer["search"][scope] = json!({
                "memories": if scope == "large" { args.memories } else { OTHERS_HAVE },
                "fusion_ms": latencies(&engine, &user, args.queries, Profile::Fusion)?,
                "mem0_ms": latencies(&engine, &user, args.queries, Profile::Mem0)?,
            });
        }
    }
    answer["store_bytes"] = engine.store().info()?.bytes.into();
    out.value(&answer, |answer| format!("{answer:#}\n"))?;
    Ok(Exit::Ok)
}

fn embed_rate(settings: &Settings) -> anyhow::Result<f64> {
    let embedder = wiring::embedder(settings)?;
    let mut speech = Speech::new(7);
    let texts: Vec<String> = (0..20_000).map(|_| speech.sentence()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    embedder.embed(&texts[..1000])?;
    let start = Instant::now();
    embedder.embed(&texts)?;
    Ok(texts.len() as f64 / start.elapsed().as_secs_f64())
}

fn write_chat(path: &Path, user: &str, count: usize) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut speech = Speech::new(user.bytes().map(u64::from).sum());
    for number in 0..count {
        let role = if number % 2 == 0 { "user" } else { "assistant" };
        let session = format!("session {}", number / SESSION);
        writeln!(file, "{}", json!({"role": role, "content": speech.sentence(), "session": session}))?;
    }
    file.flush()?;
    Ok(())
}

/// p50, p95 and the first, which reads the scope from disk.
fn latencies(engine: &Engine, user: &str, queries: usize, profile: Profile) -> anyhow::Result<Value> {
    let mut speech = Speech::new(99);
    let mut times = Vec::with_capacity(queries);
    for _ in 0..=queries {
        let mut request = SearchRequest::new(speech.question(), Filter::eq("user_id", user)?);
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
