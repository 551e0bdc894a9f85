//! `mnemon migrate retire`: deletes what a rollback would need.

use serde_json::json;

use super::context::migration_context;
use super::route_args::RouteArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to delete, and whether to ask.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Refused (exit code 4) before the retention date of the backup, before a cutover, and if the last verify was not \
green."
)]
pub(super) struct RetireArgs {
    #[command(flatten)]
    route: RouteArgs,
    /// Show what would be deleted; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &RetireArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let folder = migration.folder().to_owned();
    let context = migration_context(settings, &embedder, &folder);
    let today = jiff::Zoned::now().date();
    let what = mnemon_migrate::retire(&mut migration, &context, today, true)?;
    if args.dry_run {
        let value = json!({"would_delete": what});
        out.value(&value, |_| format!("would delete {}\n", what.join(", ")))?;
        return Ok(Exit::Ok);
    }
    if !args.yes {
        let message = format!("this deletes {} permanently: confirm with --yes", what.join(", "));
        return Err(CliError::refused(message).into());
    }
    let what = mnemon_migrate::retire(&mut migration, &context, today, false)?;
    out.value(&json!({"deleted": what}), |_| format!("deleted {}\n", what.join(", ")))?;
    Ok(Exit::Ok)
}
