//! `mnemon migrate preflight`: inspects the source and records the counts.

use std::path::PathBuf;

use mnemon_migrate::COUNTS_FILE;
use serde_json::json;

use super::context::{migration_context, with_progress};
use super::route_args::RouteArgs;
use super::start::open_checked;
use super::{legacy_counts, report};
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to inspect.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes pre-cutover-counts.txt (one `user: N` per line) and the state into the migration's folder, and nothing \
elsewhere. Exit code 3: counts differ from the expected ones; 4: an obstacle prevents the migration."
)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// URL of the running backend. Its /stats/USER is compared with the collection for each user in API_KEYS
    #[arg(long, value_name = "URL")]
    pub(super) legacy_url: Option<String>,
    /// File with expected counts, one `user: N` per line
    #[arg(long, value_name = "FILE")]
    pub(super) counts: Option<PathBuf>,
}

pub(super) fn run(args: &PreflightArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut expected = args.counts.as_deref().map(mnemon_migrate::read_counts).transpose()?.unwrap_or_default();
    if let Some(url) = &args.legacy_url {
        expected.extend(legacy_counts::read(url)?);
    }
    let mut migration = open_checked(&args.route, &[], settings)?;
    let mut context = migration_context(settings, &embedder, migration.folder());
    context.without_entities = migration.state.without_entities;
    let found =
        with_progress(out, |progress| mnemon_migrate::preflight(&mut migration, &context, &expected, progress))?;
    let mut value = report::preflight_to_json(&found);
    value["counts_file"] = json!(migration.folder().join(COUNTS_FILE));
    out.value(&value, |_| report::preflight_to_text(&found, &migration))?;
    Ok(match (found.obstacles.is_empty(), found.counts_differ.is_empty()) {
        (false, _) => Exit::Refused,
        (true, false) => Exit::Differences,
        _ => Exit::Ok,
    })
}
