//! `mnemon reembed`: moves a store to another embedder while it is in use.

use std::time::{Duration, Instant};

use mnemon_engine::{EngineError, Reembed, ReembedReport};
use mnemon_store::sqlite::ReembedCounts;
use mnemon_store::{SqliteStore, StoreError};
use serde_json::{Value, json};

use super::progress::Steps;
use crate::exit::{Exit, Fault};
use crate::output::{Output, counted};
use crate::settings::Settings;

/// Where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Servers may go on reading and writing with the old embedder while everything is embedded anew beside what \
is there. A call that was stopped or killed is followed by another one, which does the rest. At the end some texts are embedded \
once more and compared, and everything is switched in one transaction.

From then on the store is the new embedder's: give MNEMON_EMBEDDER to all that use it, and restart servers, which can neither \
write nor search until then. The new vectors lie beside the old ones for a time: have room for three times as much as they take."
)]
pub(crate) struct ReembedArgs {
    /// The new embedder: builtin, minilm, minilm:FOLDER, openai:MODEL or ollama:MODEL
    #[arg(long, value_name = "EMBEDDER")]
    to: String,
    /// Base URL of its service, as MNEMON_EMBEDDER_URL would name it
    #[arg(long, value_name = "URL")]
    to_url: Option<String>,
    /// Length of its vectors, where that is not known
    #[arg(long, value_name = "N")]
    to_dims: Option<u32>,
    /// Tell what would be done, and whether the new embedder answers; write nothing
    #[arg(long, conflicts_with = "restart")]
    dry_run: bool,
    /// Drop what earlier calls have embedded, for this embedder or another
    #[arg(long)]
    restart: bool,
}

/// An embedder: its fingerprint and dims.
type Named = (String, usize);

pub(crate) fn run(args: &ReembedArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let store = settings.open_sqlite_as_it_is()?;
    let from = SqliteStore::embedder_of(store.path())?.unwrap_or_default();
    let target = settings.other_embedder(&args.to, args.to_url.as_deref(), args.to_dims)?;
    let to = (target.fingerprint().to_owned(), target.dims());
    if from == to {
        return already(&to, out);
    }
    // A wrong address or length shows before anything is written.
    target.embed(&["hello"]).map_err(EngineError::from)?;
    let reembed = Reembed::new(&store, &*target);
    if args.dry_run {
        let counts = reembed.counts().map_err(refused)?;
        out.value(&plan_to_json(&from, &to, &counts), |_| plan_for_people(&from, &to, &counts))?;
        return Ok(Exit::Ok);
    }
    let begun = Instant::now();
    let steps = Steps::new(out.is_json());
    let done = reembed.run(args.restart, &mut |done, of| steps.things("embedded".into(), done as u64, of as u64));
    drop(steps);
    match done {
        Ok(done) => {
            let took = begun.elapsed();
            let next = next(args, target.dims());
            out.value(&to_json(&from, &to, &done, took, &next), |_| for_people(&from, &to, &done, took, &next))?;
            Ok(Exit::Ok)
        }
        // Another call was faster.
        Err(EngineError::Store(StoreError::EmbedderMismatch { stored, stored_dims, .. }))
            if (&stored, stored_dims) == (&to.0, to.1) =>
        {
            already(&to, out)
        }
        Err(error) => Err(refused(error)),
    }
}

/// There is nothing to do; not the first time that a call is made again after a kill.
fn already(to: &Named, out: &Output) -> anyhow::Result<Exit> {
    let answer = json!({"moved": false, "from": named(to), "to": named(to)});
    out.value(&answer, |_| format!("the store is {}'s already\n", to.0))?;
    Ok(Exit::Ok)
}

/// To begin another move would destroy what was done of the one under way.
fn refused(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::Store(error @ StoreError::Reembedding { .. }) => Fault::refused(error.to_string()).into(),
        error => error.into(),
    }
}

/// What is to be set from now on. An address may hold a password.
fn next(args: &ReembedArgs, dims: usize) -> String {
    let mut set = format!("MNEMON_EMBEDDER={}", args.to.trim());
    if set.contains("=openai:") || set.contains("=ollama:") {
        set.push_str(&format!(" MNEMON_EMBEDDER_DIMS={dims}"));
    }
    if args.to_url.is_some() {
        set.push_str(" MNEMON_EMBEDDER_URL=(that of --to-url)");
    }
    format!("set {set} for all that use this store, and restart its servers")
}

fn named((fingerprint, dims): &Named) -> Value {
    json!({"embedder": fingerprint, "dims": dims})
}

fn plan_to_json(from: &Named, to: &Named, counts: &ReembedCounts) -> Value {
    let texts = counts.memories + counts.entities;
    json!({
        "moved": false,
        "dry_run": true,
        "from": named(from),
        "to": named(to),
        "memories": counts.memories,
        "entities": counts.entities,
        "resumed": counts.embedded,
        "to_embed": texts - counts.embedded,
        "bytes_of_vectors": texts * to.1 * size_of::<f32>(),
    })
}

fn plan_for_people(from: &Named, to: &Named, counts: &ReembedCounts) -> String {
    let texts = counts.memories + counts.entities;
    let mib = (texts * to.1 * size_of::<f32>()) as f64 / f64::from(1 << 20);
    format!(
        "would move  {} from {} to {}\nto embed    {} of {texts}\nvectors     {mib:.1} MiB\n",
        told(counts.memories, counts.entities),
        told_embedder(from),
        told_embedder(to),
        counted(texts - counts.embedded, "text", "texts"),
    )
}

fn to_json(from: &Named, to: &Named, done: &ReembedReport, took: Duration, next: &str) -> Value {
    json!({
        "moved": true,
        "from": named(from),
        "to": named(to),
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

fn for_people(from: &Named, to: &Named, done: &ReembedReport, took: Duration, next: &str) -> String {
    let embedded = counted(done.embedded, "text", "texts");
    let compared = counted(done.compared, "text", "texts");
    format!(
        "moved     {} from {} to {}\nembedded  {embedded} in {:.1} s ({:.0} texts/s); {} lay there already\ncompared  \
         {compared}, embedded once more: all alike\nswitched  in {:.3} s\nnext      {next}\n",
        told(done.memories, done.entities),
        told_embedder(from),
        told_embedder(to),
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

fn told(memories: usize, entities: usize) -> String {
    format!("{} and {}", counted(memories, "memory", "memories"), counted(entities, "entity", "entities"))
}

fn told_embedder((fingerprint, dims): &Named) -> String {
    format!("{fingerprint} ({dims} dims)")
}
