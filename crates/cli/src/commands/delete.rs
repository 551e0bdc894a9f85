//! `mnemon delete`: one memory, or all memories of a scope after a confirmation.

use mnemon_store::Scope;
use serde_json::json;

use super::confirm::confirm;
use super::input;
use crate::args::ScopeArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, pluralize};
use crate::settings::{Settings, scope_of};
use crate::wiring;

/// What to delete.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon delete 9b2f0c1e-58b7-4f6c-9a53-0d6f2f3c8a11
  mnemon delete --all --user ana
  mnemon delete --all --user ana --run trial-7 --yes

With --all, give the scope with --user, --agent or --run: defaults from the environment or a file are not used.")]
pub(crate) struct DeleteArgs {
    /// The memory's id
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "user", "agent", "run", "yes"])]
    id: Option<String>,
    /// Delete every memory that has all the given ids
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Do not ask for confirmation
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
    out.value(&json!({"deleted": deleted}), |_| format!("deleted {}\n", pluralize(deleted, "memory", "memories")))?;
    Ok(Exit::Ok)
}

fn delete_all(args: &DeleteArgs, settings: &Settings) -> anyhow::Result<usize> {
    let scope =
        scope_of(&args.scope)?.ok_or_else(|| CliError::usage("--all needs a scope: give --user, --agent or --run"))?;
    let engine = wiring::open_engine(settings)?;
    if !args.yes {
        let count = pluralize(engine.stats(&scope)?.memories, "memory", "memories");
        let question = format!("Delete {count} of {}?", scope_to_text(&scope));
        confirm(
            &format!("{question} This cannot be undone."),
            "nothing was deleted".to_owned(),
            format!("{question} stdin is not a terminal: confirm with --yes. Nothing was deleted"),
        )?;
    }
    Ok(engine.delete_all(&scope)?)
}

/// `user ana, run trial-7`.
fn scope_to_text(scope: &Scope) -> String {
    let named = ["user", "agent", "run"].into_iter().zip(scope.ids());
    named.filter_map(|(key, id)| Some(format!("{key} {}", id?))).collect::<Vec<_>>().join(", ")
}
