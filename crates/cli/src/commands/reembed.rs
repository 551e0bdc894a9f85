//! `mnemon reembed`: moves a store to another embedder while it is in use.

use std::time::{Duration, Instant};

use mnemon_engine::{EngineError, Reembed, ReembedReport};
use mnemon_store::sqlite::ReembedCounts;
use mnemon_store::{SqliteStore, StoreError};
use serde_json::{Value, json};

use super::progress::ProgressLine;
use crate::error::Exit;
use crate::output::{Output, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// The new embedder.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Servers keep reading and writing with the old embedder: the new vectors are staged next to the old ones. An \
interrupted run resumes when it is called again. At the end, a sample is embedded again and compared, and the store switches \
to the new vectors in one transaction.

After the switch, set MNEMON_EMBEDDER to the new embedder wherever the store is used, and restart servers: until then they can \
neither search nor write. Staging needs free disk space of about three times the size of the new vectors."
)]
pub(crate) struct ReembedArgs {
    /// New embedder: builtin, minilm, minilm:FOLDER, openai:MODEL or ollama:MODEL
    #[arg(long, value_name = "EMBEDDER")]
    to: String,
    /// Base URL of its service (like MNEMON_EMBEDDER_URL)
    #[arg(long, value_name = "URL")]
    to_url: Option<String>,
    /// Length of its vectors, if the model is unknown to mnemon (like MNEMON_EMBEDDER_DIMS)
    #[arg(long, value_name = "N")]
    to_dims: Option<u32>,
    /// Show what would be done and test the new embedder; write nothing
    #[arg(long, conflicts_with = "restart")]
    dry_run: bool,
    /// Discard the progress of an interrupted run
    #[arg(long)]
    restart: bool,
}

/// An embedder: its fingerprint and dims.
type EmbedderId = (String, usize);

pub(crate) fn run(args: &ReembedArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let store = wiring::open_sqlite_any_embedder(settings)?;
    let from = SqliteStore::embedder_of(store.path())?.unwrap_or_default();
    let target = wiring::other_embedder(settings, &args.to, args.to_url.as_deref(), args.to_dims)?;
    let to = (target.fingerprint().to_owned(), target.dims());
    if from == to {
        return report_unchanged(&to, out);
    }
    // Finds a wrong address or length before anything is written.
    target.embed(&["hello"]).map_err(EngineError::from)?;
    let reembed = Reembed::new(&store, &*target);
    if args.dry_run {
        let counts = reembed.counts()?;
        out.value(&plan_to_json(&from, &to, &counts), |_| plan_to_text(&from, &to, &counts))?;
        return Ok(Exit::Ok);
    }
    let start = Instant::now();
    let progress = ProgressLine::new(out.is_json());
    let done = reembed.run(args.restart, &mut |done, of| progress.items("embedded".into(), done as u64, of as u64));
    drop(progress);
    match done {
        Ok(done) => {
            let took = start.elapsed();
            let next = next_step(args, target.dims());
            out.value(&to_json(&from, &to, &done, took, &next), |_| to_text(&from, &to, &done, took, &next))?;
            Ok(Exit::Ok)
        }
        // A concurrent run has switched the store.
        Err(EngineError::Store(StoreError::EmbedderMismatch { stored, stored_dims, .. }))
            if (&stored, stored_dims) == (&to.0, to.1) =>
        {
            report_unchanged(&to, out)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reports that the store has this embedder already.
fn report_unchanged(to: &EmbedderId, out: &Output) -> anyhow::Result<Exit> {
    let answer = json!({"moved": false, "from": embedder_to_json(to), "to": embedder_to_json(to)});
    out.value(&answer, |_| format!("the store already uses {}\n", to.0))?;
    Ok(Exit::Ok)
}

/// The settings to change. The URL is not shown because it may contain a password.
fn next_step(args: &ReembedArgs, dims: usize) -> String {
    let mut set = format!("MNEMON_EMBEDDER={}", args.to.trim());
    if set.contains("=openai:") || set.contains("=ollama:") {
        set.push_str(&format!(" MNEMON_EMBEDDER_DIMS={dims}"));
    }
    if args.to_url.is_some() {
        set.push_str(" MNEMON_EMBEDDER_URL=(the URL of --to-url)");
    }
    format!("set {set} wherever this store is used, and restart its servers")
}

fn embedder_to_json((fingerprint, dims): &EmbedderId) -> Value {
    json!({"embedder": fingerprint, "dims": dims})
}

fn plan_to_json(from: &EmbedderId, to: &EmbedderId, counts: &ReembedCounts) -> Value {
    let texts = counts.memories + counts.entities;
    json!({
        "moved": false,
        "dry_run": true,
        "from": embedder_to_json(from),
        "to": embedder_to_json(to),
        "memories": counts.memories,
        "entities": counts.entities,
        "resumed": counts.embedded,
        "to_embed": texts - counts.embedded,
        "bytes_of_vectors": texts * to.1 * size_of::<f32>(),
    })
}

fn plan_to_text(from: &EmbedderId, to: &EmbedderId, counts: &ReembedCounts) -> String {
    let texts = counts.memories + counts.entities;
    let mib = (texts * to.1 * size_of::<f32>()) as f64 / f64::from(1 << 20);
    format!(
        "would move  {} from {} to {}\nto embed    {} of {texts}\nvectors     {mib:.1} MiB\n",
        counts_to_text(counts.memories, counts.entities),
        embedder_text(from),
        embedder_text(to),
        pluralize(texts - counts.embedded, "text", "texts"),
    )
}

fn to_json(from: &EmbedderId, to: &EmbedderId, done: &ReembedReport, took: Duration, next: &str) -> Value {
    json!({
        "moved": true,
        "from": embedder_to_json(from),
        "to": embedder_to_json(to),
        "memories": done.memories,
        "entities": done.entities,
        "embedded": done.embedded,
        "resumed": done.resumed,
        "compared": done.compared,
        "least_cosine": done.least_cosine,
        "seconds": took.as_secs_f64(),
        "texts_per_second": rate(done, took),
        "locked_seconds": done.locked.as_secs_f64(),
        "next": next,
    })
}

fn to_text(from: &EmbedderId, to: &EmbedderId, done: &ReembedReport, took: Duration, next: &str) -> String {
    let embedded = pluralize(done.embedded, "text", "texts");
    let compared = pluralize(done.compared, "text", "texts");
    format!(
        "moved     {} from {} to {}\nembedded  {embedded} in {:.1} s ({:.0} texts/s); {} were staged earlier\ncompared  \
{compared} of the sample: vectors are equal\nswitched  in {:.3} s\nnext      {next}\n",
        counts_to_text(done.memories, done.entities),
        embedder_text(from),
        embedder_text(to),
        took.as_secs_f64(),
        rate(done, took),
        done.resumed,
        done.locked.as_secs_f64(),
    )
}

fn rate(done: &ReembedReport, took: Duration) -> f64 {
    let seconds = took.saturating_sub(done.locked).as_secs_f64();
    if seconds > 0.0 { done.embedded as f64 / seconds } else { 0.0 }
}

fn counts_to_text(memories: usize, entities: usize) -> String {
    format!("{} and {}", pluralize(memories, "memory", "memories"), pluralize(entities, "entity", "entities"))
}

fn embedder_text((fingerprint, dims): &EmbedderId) -> String {
    format!("{fingerprint} ({dims} dims)")
}
