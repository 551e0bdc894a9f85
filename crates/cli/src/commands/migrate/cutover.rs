//! `mnemon migrate cutover`: switches the server to the target.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use mnemon_migrate::{ServerHooks, SourceSpec, TargetSpec};
use serde_json::json;

use super::context::{migration_context, source_store, target_opener, with_progress};
use super::report;
use super::restart::run_then;
use super::route_args::RouteArgs;
use super::start::open_checked;
use super::switch_args::SwitchArgs;
use crate::commands::smoke::{self, ApiKey, Status, Target};
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to switch, and how to test the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "  mnemon migrate cutover --env-file .env --then 'docker compose up -d backend' \\\n    \
--smoke-url http://localhost:8000 --api-key KEY\n\n\
If the smoke test fails, the switch is reverted. Requires a green `verify` that is not older than the last `rebuild`.")]
pub(super) struct CutoverArgs {
    #[command(flatten)]
    route: RouteArgs,
    #[command(flatten)]
    switch: SwitchArgs,
    /// Command that restarts the server, run after the switch and after a switch back
    #[arg(long, value_name = "COMMAND")]
    then: Option<String>,
    /// URL of the server to test after the switch, as with `mnemon smoke`
    #[arg(long, value_name = "URL", required_unless_present = "no_smoke")]
    smoke_url: Option<String>,
    /// API key for the smoke test
    #[arg(long, value_name = "KEY", env = "MNEMON_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Longest wait for the server to start, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// Do not test the server
    #[arg(long, conflicts_with = "smoke_url")]
    no_smoke: bool,
    /// Allow deleting most of the target when the source no longer has those points, and a history that lacks imported rows
    #[arg(long)]
    allow_removals: bool,
    /// Switch to a store without entities, or without those of the last writes
    #[arg(long)]
    without_entities: bool,
    /// Show what would be switched; change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &CutoverArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let server = args
        .smoke_url
        .as_deref()
        .map(|url| Target::new(url, args.api_key.clone().map(ApiKey::from), None))
        .transpose()?;
    let embedder = wiring::embedder(settings)?;
    let mut migration = open_checked(&args.route, &[], settings)?;
    let folder = migration.folder().to_owned();
    let mut context = migration_context(settings, &embedder, &folder);
    let open = target_opener(settings);
    context.store = Some(&open);
    context.allow_removals = args.allow_removals;
    context.without_entities = args.without_entities;
    let route = migration.route()?.clone();
    let aliases = match (&args.switch.alias, route.server(&context)?) {
        (Some(_), Some(server)) => server.aliases()?,
        _ => Vec::new(),
    };
    let switch = args.switch.switch(&route, &aliases)?;
    if args.dry_run {
        let value = json!({"switch": switch.describe(), "dry_run": true});
        out.value(&value, |value| format!("would switch {}\n", value["switch"].as_str().unwrap_or("")))?;
        return Ok(Exit::Ok);
    }
    // If mnemon serves the old collection, lock its writers out during the last sync pass and the switch. Writes after that
    // are found by the pass after the restart. A longer lock could block the new server.
    let ledger = match &route.source {
        SourceSpec::Collection { .. } if !matches!(route.target, TargetSpec::InPlace) => {
            wiring::ledger_lock(&settings.with_store(&source_store(&route))?)?
        }
        _ => None,
    };
    let guard = RefCell::new(ledger.as_ref().map(|ledger| ledger.acquire()).transpose()?);
    if args.then.is_none() {
        out.note(
            "--then is not given: the server uses the old store until it is restarted, and its writes until then stay in the old store",
        );
    }
    let restart = || {
        drop(guard.take());
        run_then(args.then.as_deref(), out)
    };
    let hooks = ServerHooks { restart: &restart, smoke: &|| test_server(server.as_ref(), args.patience) };
    let done =
        with_progress(out, |progress| mnemon_migrate::cutover(&mut migration, &context, switch, &hooks, progress))?;
    out.value(&report::cutover_to_json(&done), |_| report::cutover_to_text(&done))?;
    Ok(Exit::Ok)
}

/// Runs the smoke test; the error says which checks failed.
fn test_server(server: Option<&Target>, patience: u64) -> Result<(), String> {
    let Some(server) = server else { return Ok(()) };
    let start = Instant::now();
    loop {
        match smoke::check(server) {
            Ok(report) if report.ok => return Ok(()),
            Ok(report) => {
                let failed = report.checks.iter().filter(|check| check.status == Status::Failed);
                let failed =
                    failed.map(|check| format!("{}: {}", check.name, check.detail.as_deref().unwrap_or("failed")));
                return Err(failed.collect::<Vec<_>>().join("; "));
            }
            // The server may still be starting.
            Err(_) if start.elapsed() < Duration::from_secs(patience) => std::thread::sleep(Duration::from_millis(500)),
            Err(error) => return Err(error.to_string()),
        }
    }
}
