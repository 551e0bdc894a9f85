//! `mnemon migrate retire`: the end of what was kept for the way back.

use serde_json::json;

use super::context::tools;
use super::route_args::RouteArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to delete.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Refused (exit code 4) before the retention date of the backup, before a cutover, and where the last \
verify was not green."
)]
pub(super) struct RetireArgs {
    #[command(flatten)]
    route: RouteArgs,
    /// Say what would be deleted, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &RetireArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let folder = migration.folder().to_owned();
    let tools = tools(settings, &embedder, &folder);
    let today = jiff::Zoned::now().date();
    let what = mnemon_migrate::retire(&mut migration, &tools, today, true)?;
    if args.dry_run {
        let value = json!({"would_delete": what});
        out.value(&value, |_| format!("would delete {}\n", what.join(", ")))?;
        return Ok(Exit::Ok);
    }
    if !args.yes {
        return Err(CliError::refused(format!("this deletes {} for good: give --yes", what.join(", "))).into());
    }
    let what = mnemon_migrate::retire(&mut migration, &tools, today, false)?;
    out.value(&json!({"deleted": what}), |_| format!("deleted {}\n", what.join(", ")))?;
    Ok(Exit::Ok)
}
