//! `mnemon migrate run`: all that comes before the switch, one phase after the other.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use mnemon_migrate::{Migration, Phase, SourceSpec};
use serde_json::json;

use super::stack::StackArgs;
use super::{backup, forward, rehearse};
use crate::exit::{Exit, Fault};
use crate::output::Output;
use crate::settings::Settings;

/// What to migrate.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Preflight, backup, rehearse, rebuild and verify, each only if it is not done yet; it stops at the first that \
is not as it should be. The switch itself is left to `mnemon migrate cutover`."
)]
pub(super) struct RunArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// mem0's history.db: backed up, and its rows carried over
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Points a second at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Do not ask between the phases
    #[arg(long)]
    yes: bool,
    /// Say which phases would run, and do nothing
    #[arg(long)]
    dry_run: bool,
}

const PHASES: [Phase; 5] = [Phase::Preflight, Phase::Backup, Phase::Rehearse, Phase::Rebuild, Phase::Verify];

pub(super) fn run(args: &RunArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if args.dry_run {
        return dry_run(args, out);
    }
    // Held by each phase while it works, not between them.
    drop(args.stack.open()?);
    let stack = args.stack.clone();
    for phase in PHASES {
        // A snapshot file is its own backup.
        if is_done(&stack, phase)? || phase == Phase::Backup && snapshot(&stack)?.is_some() {
            out.note(&format!("{}: done before", phase.as_str()));
            continue;
        }
        if !args.yes {
            confirm(phase)?;
        }
        out.note(&format!("== {}", phase.as_str()));
        let exit = one(phase, args, settings, out)?;
        if exit != Exit::Ok {
            return Ok(exit);
        }
    }
    out.note("next: mnemon migrate cutover");
    Ok(Exit::Ok)
}

fn is_done(stack: &StackArgs, phase: Phase) -> anyhow::Result<bool> {
    let state = Migration::read(&stack.dir)?;
    Ok(state.is_some_and(|state| state.ended.get(&phase).is_some_and(|ended| ended.ok)))
}

/// The snapshot file that is migrated, if it is one.
fn snapshot(stack: &StackArgs) -> anyhow::Result<Option<PathBuf>> {
    Ok(match Migration::read(&stack.dir)?.and_then(|state| state.route).map(|route| route.from) {
        Some(SourceSpec::Snapshot { file }) => Some(file),
        _ => None,
    })
}

fn dry_run(args: &RunArgs, out: &Output) -> anyhow::Result<Exit> {
    let mut phases = Vec::new();
    for phase in PHASES {
        phases.push((phase.as_str(), is_done(&args.stack, phase)?));
    }
    let value = phases.iter().map(|(phase, done)| json!({"phase": phase, "done": done})).collect::<Vec<_>>();
    out.value(&json!({"dry_run": true, "phases": value}), |_| {
        let line =
            |(phase, done): &(&str, bool)| format!("{phase:<10} {}\n", if *done { "done before" } else { "would run" });
        phases.iter().map(line).collect()
    })?;
    Ok(Exit::Ok)
}

fn one(phase: Phase, args: &RunArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let stack = args.stack.clone();
    match phase {
        Phase::Preflight => {
            forward::preflight(&forward::PreflightArgs { stack, legacy_url: None, counts: None }, settings, out)
        }
        Phase::Backup => {
            let args = backup::BackupArgs {
                stack,
                into: None,
                history: args.history.clone(),
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
            let (snapshot, dir) = (snapshot(&stack)?, stack.dir);
            let args = rehearse::RehearseArgs { snapshot, dir, expect: None, keep: None, scratch: None, report: None };
            rehearse::run(&args, settings, out)
        }
        Phase::Rebuild => {
            let (rate, history) = (args.rate, args.history.clone());
            let args =
                forward::RebuildArgs { stack, dry_run: false, rate, again: false, allow_removals: false, history };
            forward::rebuild(&args, settings, out)
        }
        _ => forward::verify(&forward::VerifyArgs { stack, report: None }, settings, out),
    }
}

fn confirm(phase: Phase) -> Result<(), Fault> {
    let io = |error: io::Error| Fault::failed("io", error.to_string());
    if !io::stdin().is_terminal() {
        return Err(Fault::refused("nobody can answer here between the phases: say it with --yes"));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{}? [y/N] ", phase.as_str()).and_then(|()| stderr.flush()).map_err(io)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(io)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Fault::refused(format!("stopped before {}: call it again to go on", phase.as_str()))),
    }
}
