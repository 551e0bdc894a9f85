//! `mnemon delete`: one memory, or all of somebody's after a question.

use std::io::{self, BufRead, IsTerminal, Write};

use mnemon_store::Scope;
use serde_json::json;

use super::input;
use crate::args::ScopeArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, counted};
use crate::settings::{Settings, scope_of};
use crate::wiring;

/// What to delete.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon delete 9b2f0c1e-58b7-4f6c-9a53-0d6f2f3c8a11
  mnemon delete --all --user ana
  mnemon delete --all --user ana --run trial-7 --yes

With --all, whose memories go must be named in the call: defaults from the environment or a file do not count.")]
pub(crate) struct DeleteArgs {
    /// The memory's id
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "user", "agent", "run", "yes"])]
    id: Option<String>,
    /// Every memory that has all the ids named
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(args: &DeleteArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let deleted = match &args.id {
        Some(id) => {
            let id = input::memory_id(id)?;
            wiring::open_engine(settings)?.delete(id)?;
            1
        }
        None => delete_all(args, settings)?,
    };
    out.value(&json!({"deleted": deleted}), |_| format!("deleted {}\n", counted(deleted, "memory", "memories")))?;
    Ok(Exit::Ok)
}

fn delete_all(args: &DeleteArgs, settings: &Settings) -> anyhow::Result<usize> {
    let scope = scope_of(&args.scope)?.ok_or_else(|| {
        CliError::usage("whose memories are to be deleted? Name them in the call with --user, --agent or --run")
    })?;
    let engine = wiring::open_engine(settings)?;
    if !args.yes {
        let count = engine.stats(&scope)?.memories;
        confirm(&format!("Delete {} of {}?", counted(count, "memory", "memories"), told(&scope)))?;
    }
    Ok(engine.delete_all(&scope)?)
}

/// Asks; anything but yes refuses.
fn confirm(question: &str) -> Result<(), CliError> {
    let io = |error: io::Error| CliError::failed("io", error.to_string());
    if !io::stdin().is_terminal() {
        return Err(CliError::refused(format!(
            "{question} Nobody can answer here: say it with --yes. Nothing was deleted"
        )));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} There is no way back. [y/N] ").and_then(|()| stderr.flush()).map_err(io)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(io)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(CliError::refused("nothing was deleted"))
    }
}

/// `user ana, run trial-7`.
fn told(scope: &Scope) -> String {
    let named = ["user", "agent", "run"].into_iter().zip(scope.ids());
    named.filter_map(|(key, id)| Some(format!("{key} {}", id?))).collect::<Vec<_>>().join(", ")
}
