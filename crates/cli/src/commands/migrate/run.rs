//! `mnemon migrate run`: all phases before the cutover, one after the other.

use std::path::{Path, PathBuf};

use mnemon_migrate::{Migration, Phase};
use serde_json::json;

use super::part_args::PartArgs;
use super::route_args::RouteArgs;
use super::start::open_to_fill;
use super::{backup, preflight, rebuild, rehearse, verify};
use crate::commands::confirm::confirm;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// What to migrate.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs preflight, backup, rehearse, rebuild and verify. Phases that are done are skipped; the first phase that does \
not succeed ends the run. The switch itself is a separate command, `mnemon migrate cutover`."
)]
pub(super) struct RunArgs {
    #[command(flatten)]
    route: RouteArgs,
    #[command(flatten)]
    parts: PartArgs,
    /// Maximum points per second
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Do not ask for confirmation between the phases
    #[arg(long)]
    yes: bool,
    /// Show which phases would run; change nothing
    #[arg(long)]
    dry_run: bool,
}

const PHASES: [Phase; 5] = [Phase::Preflight, Phase::Backup, Phase::Rehearse, Phase::Rebuild, Phase::Verify];

pub(super) fn run(args: &RunArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if args.dry_run {
        return dry_run(args, out);
    }
    // A snapshot file is its own backup, and a complete backup needs no space.
    let backup = if is_done(&args.route, Phase::Backup)? { None } else { Some(args.route.dir.join("backup")) };
    let migration = open_to_fill(&args.route, &args.parts, backup, settings)?;
    // Each phase takes the lock of the migration. It is free between phases.
    drop(migration);
    let route = args.route.clone();
    for phase in PHASES {
        // A snapshot file is its own backup.
        if is_done(&route, phase)? || phase == Phase::Backup && snapshot(&route)?.is_some() {
            out.note(&format!("{}: already done", phase.as_str()));
            continue;
        }
        if !args.yes {
            confirm(
                &format!("{}?", phase.as_str()),
                format!("stopped before {}: repeat the command to continue", phase.as_str()),
                "stdin is not a terminal: confirm all phases with --yes".to_owned(),
            )?;
        }
        out.note(&format!("== {}", phase.as_str()));
        let exit = run_phase(phase, args, settings, out)?;
        if exit != Exit::Ok {
            return Ok(exit);
        }
    }
    out.note("next: mnemon migrate cutover");
    Ok(Exit::Ok)
}

fn is_done(route: &RouteArgs, phase: Phase) -> anyhow::Result<bool> {
    let state = Migration::read(&route.dir)?;
    Ok(state.is_some_and(|state| state.is_done(phase)))
}

/// The snapshot file that is the source, if it is one.
fn snapshot(route: &RouteArgs) -> anyhow::Result<Option<PathBuf>> {
    Ok(Migration::read(&route.dir)?.and_then(|state| state.snapshot().map(Path::to_owned)))
}

fn dry_run(args: &RunArgs, out: &Output) -> anyhow::Result<Exit> {
    let mut phases = Vec::new();
    for phase in PHASES {
        phases.push((phase.as_str(), is_done(&args.route, phase)?));
    }
    let value = phases.iter().map(|(phase, done)| json!({"phase": phase, "done": done})).collect::<Vec<_>>();
    out.value(&json!({"dry_run": true, "phases": value}), |_| {
        let line = |(phase, done): &(&str, bool)| {
            format!("{phase:<10} {}\n", if *done { "already done" } else { "would run" })
        };
        phases.iter().map(line).collect()
    })?;
    Ok(Exit::Ok)
}

fn run_phase(phase: Phase, args: &RunArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let route = args.route.clone();
    match phase {
        Phase::Preflight => {
            preflight::run(&preflight::PreflightArgs { route, legacy_url: None, counts: None }, settings, out)
        }
        Phase::Backup => {
            let args = backup::BackupArgs {
                route,
                into: None,
                history: None,
                export: false,
                neo4j_dump: None,
                retention_days: backup::RETENTION_DAYS,
                keep_on_server: false,
                dry_run: false,
                verify: None,
                scratch: None,
            };
            backup::run(&args, settings, out)
        }
        Phase::Rehearse => {
            let (snapshot, dir) = (snapshot(&route)?, route.dir);
            let args = rehearse::RehearseArgs { snapshot, dir, expect: None, keep: None, scratch: None, report: None };
            rehearse::run(&args, settings, out)
        }
        Phase::Rebuild => {
            let (rate, parts) = (args.rate, args.parts.clone());
            let args = rebuild::RebuildArgs { route, dry_run: false, rate, again: false, allow_removals: false, parts };
            rebuild::run(&args, settings, out)
        }
        _ => verify::run(&verify::VerifyArgs { route, report: None }, settings, out),
    }
}
