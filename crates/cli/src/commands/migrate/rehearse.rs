//! `mnemon migrate rehearse`: the whole migration from a snapshot file into a store that is thrown away.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_migrate::{CarriedPoints, Manifest, Migration, Phase, Route, SourceSpec, TargetSpec};
use mnemon_models::Embedder;
use mnemon_store::sqlite::{SqliteOptions, SqliteStore, UNKNOWN_EMBEDDER};

use super::report;
use super::stack::{tools, with_progress};
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
    /// Snapshot of the collection [default: that of the migration's last backup]
    #[arg(long, value_name = "FILE")]
    pub(super) snapshot: Option<PathBuf>,
    /// Folder of the migration, where no snapshot is named
    #[arg(long, value_name = "DIR", env = "MNEMON_MIGRATION", default_value = "mnemon-migration")]
    pub(super) dir: PathBuf,
    /// How many points the server said the collection has: a snapshot that holds others is refused
    #[arg(long, value_name = "N")]
    pub(super) expect: Option<u64>,
    /// Keep the store that is made, as this file
    #[arg(long, value_name = "FILE")]
    pub(super) keep: Option<PathBuf>,
    /// Where to unpack [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
    /// Write the report as Markdown to this file, too
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
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
    let (snapshot, mut expect, mut migration) = match &args.snapshot {
        Some(snapshot) => (snapshot.clone(), None, None),
        None => of_backup(&args.dir)?,
    };
    expect = args.expect.or(expect);
    let embedder = settings.embedder()?;
    let route = Route { from: SourceSpec::Snapshot { file: snapshot }, to: TargetSpec::Sqlite { file: file.clone() } };
    let source = route.source(&tools(settings, &embedder, folder.path()))?;
    let about = source.about();
    if let Some(expected) = expect.filter(|expected| *expected != about.points) {
        let message = format!(
            "{} holds {} points, the server said {expected}: points that were only in its log are not in a snapshot; wait \
             a few seconds after the last write and take another",
            about.place, about.points
        );
        return Err(Fault::failed("points_missing", message).into());
    }
    let embedder = (embedder.dims() == about.dims).then_some(&*embedder);
    let store = open(&file, about.dims, embedder)?;
    let base = CarriedPoints::open(&folder.path().join("carried.db"))?;
    let rehearsal = with_progress(out, |told| mnemon_migrate::rehearse(&*source, &store, &base, embedder, told))?;
    if let Some(file) = &args.report {
        std::fs::write(file, report::markdown(&rehearsal)).with_context(|| file.display().to_string())?;
    }
    if let Some(migration) = &mut migration {
        let took = rehearsal.copied.took + rehearsal.verify_took;
        let told = format!("{} points carried over and compared in {took:.1?}", rehearsal.verified.points);
        migration.end(Phase::Rehearse, rehearsal.is_green(), told)?;
    }
    out.value(&report::to_json(&rehearsal), |_| report::markdown(&rehearsal))?;
    Ok(if rehearsal.is_green() { Exit::Ok } else { Exit::Differences })
}

/// The snapshot of a migration's backup, the points it must have, and the migration.
fn of_backup(dir: &Path) -> anyhow::Result<(PathBuf, Option<u64>, Option<Migration>)> {
    let backup = Migration::read(dir)?.and_then(|state| state.backup);
    let Some((folder, _)) = backup else {
        let message = format!(
            "there is no backup in {}: make one with `mnemon migrate backup`, or name a snapshot with --snapshot",
            dir.display()
        );
        return Err(Fault::refused(message).into());
    };
    let manifest = Manifest::read(&folder)?;
    let Some(own) = manifest.collections.iter().find(|own| own.name == manifest.collection) else {
        let message = format!("the backup in {} holds no snapshot of `{}`", folder.display(), manifest.collection);
        return Err(Fault::refused(message).into());
    };
    Ok((folder.join(&own.file), Some(manifest.points), Some(Migration::open(dir)?)))
}

fn open(file: &Path, dims: usize, embedder: Option<&dyn Embedder>) -> anyhow::Result<SqliteStore> {
    let fingerprint = embedder.map_or(UNKNOWN_EMBEDDER, |embedder| embedder.fingerprint()).to_owned();
    Ok(SqliteStore::open(SqliteOptions::new(file, fingerprint, dims))?)
}
