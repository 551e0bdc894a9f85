//! `mnemon migrate verify`: compares source and target.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::context::{migration_context, target_opener, with_progress};
use super::report;
use super::route_args::RouteArgs;
use super::start::open_checked;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to compare, and where to report.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 3: there are differences; the first ones are shown.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// Also write the report as Markdown to this file, and as JSON next to it
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let outputs: Vec<PathBuf> = args.report.iter().flat_map(|file| [file.clone(), json_beside(file)]).collect();
    let mut migration = open_checked(&args.route, &outputs, settings)?;
    let folder = migration.folder().to_owned();
    let mut context = migration_context(settings, &embedder, &folder);
    let open = target_opener(settings);
    context.store = Some(&open);
    let start = std::time::Instant::now();
    let verified = with_progress(out, |progress| mnemon_migrate::verify_migration(&mut migration, &context, progress))?;
    let value = report::verification_to_json(&verified, start.elapsed());
    let text = report::verification_to_text(&verified, &migration.state);
    if let Some(file) = &args.report {
        write_report(file, &text, &value)?;
    }
    out.value(&value, |_| text)?;
    Ok(if verified.is_green() { Exit::Ok } else { Exit::Differences })
}

fn write_report(file: &Path, text: &str, value: &Value) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())?;
    let json = json_beside(file);
    std::fs::write(&json, format!("{value:#}\n")).with_context(|| json.display().to_string())
}

/// The file of the same report as JSON.
fn json_beside(file: &Path) -> PathBuf {
    file.with_extension("json")
}
