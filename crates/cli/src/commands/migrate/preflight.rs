//! `mnemon migrate preflight`: what is there, and what stands in the way.

use std::path::PathBuf;

use mnemon_migrate::COUNTS;
use serde_json::json;

use super::context::{tools, with_progress};
use super::route_args::RouteArgs;
use super::{legacy_counts, report};
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to look at.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes pre-cutover-counts.txt (`user: N` a line) and the plan into the migration's folder, and nothing \
elsewhere. Exit code 3: counts differ from those that were told; 4: something stands in the way."
)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// Backend that runs today: its /stats/USER is asked for each user of API_KEYS and compared with the collection
    #[arg(long, value_name = "URL")]
    pub(super) legacy_url: Option<String>,
    /// Counts to compare with, `user: N` a line, as the runbook writes them
    #[arg(long, value_name = "FILE")]
    pub(super) counts: Option<PathBuf>,
}

pub(super) fn run(args: &PreflightArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let tools = tools(settings, &embedder, migration.folder());
    let mut told = args.counts.as_deref().map(mnemon_migrate::read_counts).transpose()?.unwrap_or_default();
    if let Some(url) = &args.legacy_url {
        told.extend(legacy_counts::read(url)?);
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
