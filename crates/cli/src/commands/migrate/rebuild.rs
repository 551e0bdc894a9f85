//! `mnemon migrate rebuild`: copies all memories to the target.

use std::collections::BTreeMap;

use mnemon_migrate::Migration;

use super::context::{migration_context, target_opener, with_progress};
use super::part_args::PartArgs;
use super::report;
use super::route_args::RouteArgs;
use super::start::open_to_fill;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to copy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "  mnemon migrate rebuild --source mem0 --target mem0_v3 --qdrant-host qdrant --qdrant-port 6333 --dry-run\n\n\
An interrupted rebuild resumes when it is repeated. Ids, vectors and all payload keys stay unchanged; `text_lemmatized`, `bm25` \
and entities are added. The last sync pass copies what was written during the rebuild."
)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// Show what would be copied, per user; change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Maximum points per second, to limit the load on the running backend
    #[arg(long, value_name = "N")]
    pub(super) rate: Option<u32>,
    /// Also write points that were copied before, for example after they were changed in the target
    #[arg(long)]
    pub(super) again: bool,
    /// Allow deleting most of the target when the source no longer has those points, and a history that lacks imported rows
    #[arg(long)]
    pub(super) allow_removals: bool,
    #[command(flatten)]
    pub(super) parts: PartArgs,
}

pub(super) fn run(args: &RebuildArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    if args.dry_run {
        return dry_run(args, settings, out);
    }
    let mut migration = open_to_fill(&args.route, &args.parts, None, settings)?;
    let folder = migration.folder().to_owned();
    let mut context = migration_context(settings, &embedder, &folder);
    let open = target_opener(settings);
    context.store = Some(&open);
    context.rate = args.rate;
    context.allow_removals = args.allow_removals;
    let rebuilt =
        with_progress(out, |progress| mnemon_migrate::rebuild(&mut migration, &context, args.again, progress))?;
    out.value(&report::rebuild_to_json(&rebuilt), |_| report::rebuild_to_text(&rebuilt))?;
    Ok(Exit::Ok)
}

/// Shows the counts that a rebuild would copy.
fn dry_run(args: &RebuildArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let known = Migration::read(&args.route.dir)?;
    let started = known.as_ref().is_some_and(|state| state.started);
    let Some(route) = args
        .route
        .resolve(known.as_ref().and_then(|state| state.route.as_ref()))?
        .or(known.and_then(|state| state.route))
    else {
        return Err(CliError::usage("no source and target: give --source NAME and --target NAME").into());
    };
    let scratch = std::env::temp_dir();
    let context = migration_context(settings, &embedder, &scratch);
    let found =
        with_progress(out, |progress| mnemon_migrate::inspect(&route, &context, &BTreeMap::new(), started, progress))?;
    out.value(&report::preflight_to_json(&found), |_| report::dry_run_to_text(&found, &route))?;
    Ok(if found.obstacles.is_empty() { Exit::Ok } else { Exit::Refused })
}
