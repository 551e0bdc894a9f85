//! `mnemon migrate preflight`, `rebuild`, `verify`: what comes before the switch.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use mnemon_migrate::{COUNTS, Migration};
use serde_json::{Value, json};

use super::stack::{StackArgs, tools, with_progress};
use super::{legacy, report};
use crate::exit::{Exit, Fault};
use crate::output::Output;
use crate::settings::Settings;

/// What to look at.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes pre-cutover-counts.txt (`user: N` a line) and the plan into the migration's folder, and nothing \
elsewhere. Exit code 3: counts differ from those that were told; 4: something stands in the way."
)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub(super) stack: StackArgs,
    /// Backend that runs today: its /stats/USER is asked for each user of API_KEYS and compared with the collection
    #[arg(long, value_name = "URL")]
    pub(super) legacy_url: Option<String>,
    /// Counts to compare with, `user: N` a line, as the runbook writes them
    #[arg(long, value_name = "FILE")]
    pub(super) counts: Option<PathBuf>,
}

pub(super) fn preflight(args: &PreflightArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    let mut migration = args.stack.open()?;
    let tools = tools(settings, &embedder, migration.folder());
    let mut told = args.counts.as_deref().map(mnemon_migrate::read_counts).transpose()?.unwrap_or_default();
    if let Some(url) = &args.legacy_url {
        told.extend(legacy::counts(url)?);
    }
    let found = with_progress(out, |progress| mnemon_migrate::preflight(&mut migration, &tools, &told, progress))?;
    let mut value = report::of_preflight(&found);
    value["counts_file"] = json!(migration.folder().join(COUNTS));
    out.value(&value, |_| report::preflight(&found, &migration))?;
    Ok(match (found.obstacles.is_empty(), found.counts_differ.is_empty()) {
        (false, _) => Exit::Refused,
        (true, false) => Exit::Differences,
        _ => Exit::Ok,
    })
}

/// What to carry over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "  mnemon migrate rebuild --source mem0 --target mem0_v3 --qdrant-host qdrant --qdrant-port 6333 --dry-run\n\n\
Stopped at any moment, it goes on where it was. Ids, vectors and every key of the payloads stay as they are; `text_lemmatized`, \
`bm25` and entities are added. The last pass finds what was written meanwhile."
)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    pub(super) stack: StackArgs,
    /// Say what would be carried over, by user, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Points a second at most, so that the running backend is not slowed down
    #[arg(long, value_name = "N")]
    pub(super) rate: Option<u32>,
    /// Write what was carried over before, too: after it was changed in the target by somebody else
    #[arg(long)]
    pub(super) again: bool,
    /// Remove what is gone from the side that is read, though it is most of it
    #[arg(long)]
    pub(super) allow_removals: bool,
    /// mem0's history.db, whose rows come along into our history
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
}

pub(super) fn rebuild(args: &RebuildArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    if args.dry_run {
        return dry_run(args, settings, out);
    }
    let mut migration = args.stack.open()?;
    let folder = migration.folder().to_owned();
    let mut tools = tools(settings, &embedder, &folder);
    tools.rate = args.rate;
    tools.removals = args.allow_removals;
    let rebuilt = with_progress(out, |progress| mnemon_migrate::rebuild(&mut migration, &tools, args.again, progress))?;
    let mut value = report::of_rebuilt(&rebuilt);
    if let Some(file) = &args.history {
        let imported = import_history(settings, &migration, file)?;
        value["history_rows"] = json!(imported);
    }
    out.value(&value, |value| report::rebuilt(&rebuilt, &value["history_rows"]))?;
    Ok(Exit::Ok)
}

/// The counts that a rebuild would carry over.
fn dry_run(args: &RebuildArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    let known = Migration::read(&args.stack.dir)?;
    let begun = known.as_ref().is_some_and(|state| state.begun);
    let Some(route) = args
        .stack
        .route(known.as_ref().and_then(|state| state.route.as_ref()))?
        .or(known.and_then(|state| state.route))
    else {
        return Err(Fault::usage("what to carry over? Give --source NAME and --target NAME").into());
    };
    let scratch = std::env::temp_dir();
    let tools = tools(settings, &embedder, &scratch);
    let found = with_progress(out, |progress| mnemon_migrate::look(&route, &tools, &BTreeMap::new(), begun, progress))?;
    out.value(&report::of_preflight(&found), |_| report::dry_run(&found, &route))?;
    Ok(if found.obstacles.is_empty() { Exit::Ok } else { Exit::Refused })
}

/// Takes mem0's history into the new store's; rows that are there stay.
fn import_history(settings: &Settings, migration: &Migration, file: &std::path::Path) -> anyhow::Result<usize> {
    let route = migration.route()?;
    let settings = settings.with_store(&super::stack::store_of(route))?;
    let engine = settings.open_engine_as_it_is()?;
    let imported = engine.import(file, &mnemon_engine::ImportOptions::default(), &mut |_| ())?;
    Ok(imported.stored.history)
}

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 3: differences were found; the first of them are shown.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) stack: StackArgs,
    /// Write the report as Markdown to this file, and as JSON beside it
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

pub(super) fn verify(args: &VerifyArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    let mut migration = args.stack.open()?;
    let folder = migration.folder().to_owned();
    let tools = tools(settings, &embedder, &folder);
    let begun = std::time::Instant::now();
    let verified = with_progress(out, |progress| mnemon_migrate::verify_migration(&mut migration, &tools, progress))?;
    let value = report::of_verification(&verified, begun.elapsed());
    let text = report::verification(&verified);
    if let Some(file) = &args.report {
        write_report(file, &text, &value)?;
    }
    out.value(&value, |_| text)?;
    Ok(if verified.is_green() { Exit::Ok } else { Exit::Differences })
}

fn write_report(file: &std::path::Path, text: &str, value: &Value) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())?;
    let json = file.with_extension("json");
    std::fs::write(&json, format!("{value:#}\n")).with_context(|| json.display().to_string())
}
