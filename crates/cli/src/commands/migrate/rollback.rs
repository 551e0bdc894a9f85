//! `mnemon migrate rollback`: switches the server back to the source.

use mnemon_migrate::Switch;
use serde_json::json;

use super::context::{migration_context, with_progress};
use super::report;
use super::restart::run_then;
use super::route_args::RouteArgs;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// How to switch back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The writes since the cutover are copied to the old collection, in the format that mem0 before v2 reads. Points \
that they replace are saved in replaced-by-rollback.jsonl."
)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    route: RouteArgs,
    /// Do not copy the writes made since the cutover
    #[arg(long)]
    drop_writes: bool,
    /// Command that restarts the server, run after the switch
    #[arg(long, value_name = "COMMAND")]
    then: Option<String>,
    /// Allow deleting most of the old collection when the new store no longer has those points
    #[arg(long)]
    allow_removals: bool,
    /// Show what would be switched back; change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &RollbackArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let folder = migration.folder().to_owned();
    let mut context = migration_context(settings, &embedder, &folder);
    context.allow_removals = args.allow_removals;
    if args.dry_run {
        let switch = migration.state.switch.as_ref().map(Switch::describe_rollback);
        let value = json!({"switch": switch, "drop_writes": args.drop_writes, "dry_run": true});
        out.value(&value, |_| match switch {
            None => "nothing was switched, so there is nothing to switch back\n".to_owned(),
            Some(switch) => format!(
                "would switch back: {switch}\nthe writes since the cutover would be {}\n",
                if args.drop_writes { "left in the new store" } else { "copied to the old one" }
            ),
        })?;
        return Ok(Exit::Ok);
    }
    let restart = || run_then(args.then.as_deref(), out);
    let done = with_progress(out, |progress| {
        mnemon_migrate::rollback(&mut migration, &context, args.drop_writes, &restart, progress)
    })?;
    out.value(&report::rollback_to_json(&done), |_| report::rollback_to_text(&done))?;
    Ok(Exit::Ok)
}
