//! `mnemon migrate rollback`: the switch back to the old store.

use mnemon_migrate::Switch;
use serde_json::json;

use super::context::{tools, with_progress};
use super::report;
use super::restart::run_then;
use super::route_args::RouteArgs;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// How to go back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The writes that were made since the cutover are carried into the old collection, in the shape that mem0 \
before v2 reads; points that they change are kept in replaced-by-rollback.jsonl."
)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    route: RouteArgs,
    /// Leave the writes that were made since the cutover behind
    #[arg(long)]
    drop_writes: bool,
    /// Command that makes the server take it, run after the switch
    #[arg(long, value_name = "COMMAND")]
    then: Option<String>,
    /// Remove what is gone from the side that is read, though it is most of it
    #[arg(long)]
    allow_removals: bool,
    /// Say what would be switched back, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &RollbackArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let folder = migration.folder().to_owned();
    let mut tools = tools(settings, &embedder, &folder);
    tools.removals = args.allow_removals;
    if args.dry_run {
        let switch = migration.state.switch.as_ref().map(Switch::told_back);
        let value = json!({"switch": switch, "drop_writes": args.drop_writes, "dry_run": true});
        out.value(&value, |_| match switch {
            None => "nothing was switched, so there is nothing to switch back\n".to_owned(),
            Some(switch) => format!(
                "would switch back: {switch}\nthe writes made since would be {}\n",
                if args.drop_writes { "left in the new store" } else { "carried into the old one" }
            ),
        })?;
        return Ok(Exit::Ok);
    }
    let restart = || run_then(args.then.as_deref(), out);
    let done = with_progress(out, |progress| {
        mnemon_migrate::rollback(&mut migration, &tools, args.drop_writes, &restart, progress)
    })?;
    out.value(&report::of_rollback(&done), |_| report::rollback(&done))?;
    Ok(Exit::Ok)
}
