//! `mnemon migrate rebuild`: carries everything over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mnemon_migrate::Migration;
use serde_json::json;

use super::context::{store_of, tools, with_progress};
use super::report;
use super::route_args::RouteArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to carry over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "  mnemon migrate rebuild --source mem0 --target mem0_v3 --qdrant-host qdrant --qdrant-port 6333 --dry-run\n\n\
Stopped at any moment, it goes on where it was. Ids, vectors and every key of the payloads stay as they are; `text_lemmatized`, \
`bm25` and entities are added. The last pass finds what was written meanwhile."
)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
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

pub(super) fn run(args: &RebuildArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    if args.dry_run {
        return dry_run(args, settings, out);
    }
    let mut migration = args.route.open()?;
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
    let embedder = wiring::embedder(settings)?;
    let known = Migration::read(&args.route.dir)?;
    let begun = known.as_ref().is_some_and(|state| state.begun);
    let Some(route) = args
        .route
        .resolve(known.as_ref().and_then(|state| state.route.as_ref()))?
        .or(known.and_then(|state| state.route))
    else {
        return Err(CliError::usage("what to carry over? Give --source NAME and --target NAME").into());
    };
    let scratch = std::env::temp_dir();
    let tools = tools(settings, &embedder, &scratch);
    let found = with_progress(out, |progress| mnemon_migrate::look(&route, &tools, &BTreeMap::new(), begun, progress))?;
    out.value(&report::of_preflight(&found), |_| report::dry_run(&found, &route))?;
    Ok(if found.obstacles.is_empty() { Exit::Ok } else { Exit::Refused })
}

/// Takes mem0's history into the new store's; rows that are there stay.
fn import_history(settings: &Settings, migration: &Migration, file: &Path) -> anyhow::Result<usize> {
    let route = migration.route()?;
    let settings = &settings.with_store(&store_of(route))?;
    let engine = wiring::open_engine_any_embedder(settings)?;
    let imported = engine.import(file, &mnemon_engine::ImportOptions::default(), &mut |_| ())?;
    Ok(imported.stored.history)
}
