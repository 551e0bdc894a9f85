//! `mnemon migrate cutover`: the switch to the new store.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use mnemon_migrate::{ServerHooks, SourceSpec, TargetSpec};
use serde_json::json;

use super::context::{old_store, tools, with_progress};
use super::report;
use super::restart::run_then;
use super::route_args::RouteArgs;
use super::switch_args::SwitchArgs;
use crate::commands::smoke::{self, ApiKey, Smoke, Status};
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to switch, and how to try it.
#[derive(Debug, clap::Args)]
#[command(after_help = "  mnemon migrate cutover --env-file .env --then 'docker compose up -d backend' \\\n    \
--smoke-url http://localhost:8000 --api-key KEY\n\n\
What was switched is switched back when the smoke test fails. Before it: a green `verify`, not older than the last `rebuild`.")]
pub(super) struct CutoverArgs {
    #[command(flatten)]
    route: RouteArgs,
    #[command(flatten)]
    switch: SwitchArgs,
    /// Command that makes the server take it, run after the switch, and after it is switched back
    #[arg(long, value_name = "COMMAND")]
    then: Option<String>,
    /// Server that is tried after the switch, as `mnemon smoke` does
    #[arg(long, value_name = "URL", required_unless_present = "no_smoke")]
    smoke_url: Option<String>,
    /// Its API key
    #[arg(long, value_name = "KEY", env = "MNEMON_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// How long the server may take to come up, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// Switch without trying the server
    #[arg(long, conflicts_with = "smoke_url")]
    no_smoke: bool,
    /// Remove what is gone from the side that is read, though it is most of it
    #[arg(long)]
    allow_removals: bool,
    /// Say what would be switched, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &CutoverArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut migration = args.route.open()?;
    let folder = migration.folder().to_owned();
    let mut tools = tools(settings, &embedder, &folder);
    tools.removals = args.allow_removals;
    let route = migration.route()?.clone();
    let aliases = match (&args.switch.alias, route.server(&tools)?) {
        (Some(_), Some(server)) => server.aliases()?,
        _ => Vec::new(),
    };
    let switch = args.switch.switch(&route, &aliases)?;
    if args.dry_run {
        let value = json!({"switch": switch.told(), "dry_run": true});
        out.value(&value, |value| format!("would switch {}\n", value["switch"].as_str().unwrap_or("")))?;
        return Ok(Exit::Ok);
    }
    // Where Mnemon serves the old collection, its writers wait during the last pass and the switch. What they write then is
    // found by the pass after the restart; held for longer, the new server might wait, too.
    let ledger = match &route.from {
        SourceSpec::Collection { .. } if !matches!(route.to, TargetSpec::InPlace) => {
            wiring::ledger_lock(&settings.with_store(&old_store(&route))?)?
        }
        _ => None,
    };
    let closed = RefCell::new(ledger.as_ref().map(|ledger| ledger.acquire()).transpose()?);
    if args.then.is_none() {
        out.note(
            "no --then: until the server is restarted it serves the old store, and what it writes there after this stays there",
        );
    }
    let restart = || {
        drop(closed.take());
        run_then(args.then.as_deref(), out)
    };
    let served = ServerHooks { restart: &restart, smoke: &|| try_server(args) };
    let done =
        with_progress(out, |progress| mnemon_migrate::cutover(&mut migration, &tools, switch, &served, progress))?;
    out.value(&report::of_cutover(&done), |_| report::cutover(&done))?;
    Ok(Exit::Ok)
}

/// Tries the server; says what went wrong.
fn try_server(args: &CutoverArgs) -> Result<(), String> {
    let Some(url) = &args.smoke_url else { return Ok(()) };
    let key = args.api_key.clone().map(ApiKey::from);
    let smoke = Smoke::new(url, key, None).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    loop {
        match smoke::check(&smoke) {
            Ok(report) if report.ok => return Ok(()),
            Ok(report) => {
                let failed = report.checks.iter().filter(|check| check.status == Status::Failed);
                let told =
                    failed.map(|check| format!("{}: {}", check.name, check.detail.as_deref().unwrap_or("failed")));
                return Err(told.collect::<Vec<_>>().join("; "));
            }
            // It may still be coming up.
            Err(_) if begun.elapsed() < Duration::from_secs(args.patience) => {
                std::thread::sleep(Duration::from_millis(500))
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
