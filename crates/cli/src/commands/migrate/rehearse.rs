//! `mnemon migrate rehearse`: the whole migration from a snapshot file into a store that is thrown away.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_migrate::{Base, From, Route, To, UNKNOWN_EMBEDDER};
use mnemon_models::Embedder;
use mnemon_store::sqlite::{SqliteOptions, SqliteStore};

use super::report;
use super::stack::tools;
use crate::commands::progress;
use crate::exit::{Exit, Fault};
use crate::output::Output;
use crate::settings::Settings;

/// From where, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The snapshot is the file that `POST /collections/NAME/snapshots` makes. It is unpacked and opened in \
this process: no server is needed, and the file stays as it is. Exit code 3: something was not as it should be."
)]
pub(super) struct RehearseArgs {
    /// Snapshot of the collection
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// How many points the server said the collection has: a snapshot that holds others is refused
    #[arg(long, value_name = "N")]
    expect: Option<u64>,
    /// Keep the store that is made, as this file
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Where to unpack [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Write the report as Markdown to this file, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(args: &RehearseArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("mnemon-rehearsal-")
        .tempdir_in(&scratch)
        .with_context(|| scratch.display().to_string())?;
    let file = match &args.keep {
        Some(file) if file.exists() => {
            let message = format!("{} is there already: name a file that is not", file.display());
            return Err(Fault::refused(message).into());
        }
        Some(file) => file.clone(),
        None => folder.path().join("rehearsal.db"),
    };
    let embedder = settings.embedder()?;
    let route = Route { from: From::Snapshot { file: args.snapshot.clone() }, to: To::Sqlite { file: file.clone() } };
    let source = route.source(&tools(settings, &embedder, folder.path()))?;
    let about = source.about();
    if let Some(expected) = args.expect.filter(|expected| *expected != about.points) {
        let message = format!(
            "{} holds {} points, the server said {expected}: points that were only in its log are not in a snapshot; wait \
             a few seconds after the last write and take another",
            about.place, about.points
        );
        return Err(Fault::failed("points_missing", message).into());
    }
    let embedder = (embedder.dims() == about.dims).then_some(&*embedder);
    let bar = progress::counting("points", out.is_json());
    let store = open(&file, about.dims, embedder)?;
    let base = Base::open(&folder.path().join("carried.db"))?;
    let told = |phase: &'static str, done: usize| {
        bar.set_message(format!("points {phase}"));
        bar.set_position(done as u64);
    };
    let rehearsal = mnemon_migrate::rehearse(&*source, &store, &base, embedder, &told)?;
    bar.finish_and_clear();
    if let Some(file) = &args.report {
        std::fs::write(file, report::markdown(&rehearsal)).with_context(|| file.display().to_string())?;
    }
    out.value(&report::to_json(&rehearsal), |_| report::markdown(&rehearsal))?;
    Ok(if rehearsal.is_green() { Exit::Ok } else { Exit::Differences })
}

fn open(file: &Path, dims: usize, embedder: Option<&dyn Embedder>) -> anyhow::Result<SqliteStore> {
    let unknown = format!("{UNKNOWN_EMBEDDER}:{dims}");
    let fingerprint = embedder.map_or(unknown, |embedder| embedder.fingerprint().to_owned());
    Ok(SqliteStore::open(SqliteOptions::new(file, fingerprint, dims))?)
}
