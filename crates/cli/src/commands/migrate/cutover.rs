//! `mnemon migrate cutover` and `rollback`: the switch, there and back.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mnemon_migrate::{From, Migration, Route, Served, Switch, To};
use serde_json::json;

use super::report;
use super::stack::{StackArgs, old_store, store_of, tools, with_progress};
use crate::commands::smoke::{self, ApiKey, Smoke, Status};
use crate::exit::{Exit, Fault};
use crate::output::Output;
use crate::settings::Settings;

/// What to switch, and how to try it.
#[derive(Debug, clap::Args)]
#[command(after_help = "  mnemon migrate cutover --env-file .env --then 'docker compose up -d backend' \\\n    \
--smoke-url http://localhost:8000 --api-key KEY\n\n\
What was switched is switched back when the smoke test fails. Before it: a green `verify`, not older than the last `rebuild`.")]
pub(super) struct CutoverArgs {
    #[command(flatten)]
    stack: StackArgs,
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

/// What says which store is served.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SwitchArgs {
    /// Alias of Qdrant that leads to the collection
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// File of KEY=value lines with QDRANT_COLLECTION_NAME
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Settings file of `mnemon serve`, whose `store` is set
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

const KEY: &str = "QDRANT_COLLECTION_NAME";

impl SwitchArgs {
    fn switch(&self, route: &Route, aliases: &[(String, String)]) -> anyhow::Result<Switch> {
        let collection = match (&route.to, &route.from) {
            (To::Collection { name }, _) => Some(name.clone()),
            (To::InPlace, From::Collection { name, .. }) => Some(name.clone()),
            _ => None,
        };
        let name = |what: &str| {
            let message =
                format!("{what} names a collection, and the new store is a file: give --settings mnemon.toml");
            collection.clone().ok_or_else(|| Fault::usage(message))
        };
        Ok(match (&self.alias, &self.env_file, &self.settings) {
            (Some(alias), ..) => {
                let was = aliases.iter().find(|(name, _)| name == alias).map(|(_, to)| to.clone());
                Switch::Alias { alias: alias.clone(), was, now: name("an alias")? }
            }
            (_, Some(file), _) => {
                let was = mnemon_migrate::value_in_env_file(file, KEY)?;
                if was.is_none() {
                    let message = format!(
                        "{} has no line {KEY}=: is it the file that the server reads? Add the line with the old name first",
                        file.display()
                    );
                    return Err(Fault::refused(message).into());
                }
                Switch::EnvFile { file: std::path::absolute(file)?, key: KEY.into(), was, now: name(KEY)? }
            }
            (_, _, Some(file)) if !file.is_file() => {
                let message =
                    format!("there is no settings file {}: name the one that the server reads", file.display());
                return Err(Fault::refused(message).into());
            }
            (_, _, Some(file)) => Switch::Settings {
                file: std::path::absolute(file)?,
                was: mnemon_migrate::store_in_settings(file)?,
                now: store_of(route),
            },
            _ => return Err(Fault::usage("give --alias, --env-file or --settings").into()),
        })
    }
}

pub(super) fn cutover(args: &CutoverArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    let mut migration = args.stack.open()?;
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
    let fence = match &route.from {
        From::Collection { .. } if !matches!(route.to, To::InPlace) => {
            settings.with_store(&old_store(&route))?.fence()?
        }
        _ => None,
    };
    let closed = RefCell::new(fence.as_ref().map(|fence| fence.close()).transpose()?);
    if args.then.is_none() {
        out.note(
            "no --then: until the server is restarted it serves the old store, and what it writes there after this stays there",
        );
    }
    let restart = || {
        drop(closed.take());
        run_then(args.then.as_deref(), out)
    };
    let served = Served { restart: &restart, smoke: &|| try_server(args) };
    let done =
        with_progress(out, |progress| mnemon_migrate::cutover(&mut migration, &tools, switch, &served, progress))?;
    out.value(&report::of_cutover(&done), |_| report::cutover(&done))?;
    Ok(Exit::Ok)
}

/// Has the server take what was switched; says what went wrong.
fn run_then(then: Option<&str>, out: &Output) -> Result<(), String> {
    let Some(then) = then else { return Ok(()) };
    out.note(&format!("running: {then}"));
    // Not to our stdout, which is for the answer and may be closed: that would end the command.
    let mut command = Command::new("sh");
    let status =
        command.args(["-c", then]).stdout(std::io::stderr()).status().map_err(|error| format!("`{then}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{then}` ended with {status}")) }
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

/// How to go back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The writes that were made since the cutover are carried into the old collection, in the shape that mem0 \
before v2 reads; points that they change are kept in replaced-by-rollback.jsonl."
)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    stack: StackArgs,
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

pub(super) fn rollback(args: &RollbackArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = settings.embedder()?;
    let mut migration: Migration = args.stack.open()?;
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
