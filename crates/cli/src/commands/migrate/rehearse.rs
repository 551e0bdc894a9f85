//! `mnemon migrate rehearse`: runs the whole migration from a snapshot file into a temporary store.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::ErrorCode;
use mnemon_migrate::{CarriedPoints, Manifest, MigrateError, Migration, Phase, Route, SourceSpec, TargetSpec};
use mnemon_models::Embedder;
use mnemon_store::sqlite::{SqliteOptions, SqliteStore, UNKNOWN_EMBEDDER};

use super::context::{migration_context, with_progress};
use super::report;
use super::start::files_of;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// What to rehearse with.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The snapshot is the file that `POST /collections/NAME/snapshots` creates. It is unpacked and opened in this \
process: no server is needed, and the file is not changed. Exit code 3: the rehearsal found differences."
)]
pub(super) struct RehearseArgs {
    /// Snapshot of the collection [default: the migration's source, if it is one; else the one in its last backup]
    #[arg(long, value_name = "FILE")]
    pub(super) snapshot: Option<PathBuf>,
    /// Folder of the migration, used if no snapshot is given
    #[arg(long, value_name = "DIR", env = "MNEMON_MIGRATION", default_value = "mnemon-migration")]
    pub(super) dir: PathBuf,
    /// Expected number of points; a snapshot with another number is refused
    #[arg(long, value_name = "N")]
    pub(super) expect: Option<u64>,
    /// Keep the new store as this file
    #[arg(long, value_name = "FILE")]
    pub(super) keep: Option<PathBuf>,
    /// Folder to unpack the snapshot [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
    /// Also write the report as Markdown to this file
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

pub(super) fn run(args: &RehearseArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let (snapshot, expect, mut migration) = snapshot_to_rehearse(args)?;
    if let Some(file) = args.keep.as_ref().filter(|file| file.exists()) {
        let message = format!("{} exists: give a file that does not", file.display());
        return Err(CliError::refused(message).into());
    }
    let outputs: Vec<PathBuf> = args.report.iter().chain(&args.keep).cloned().collect();
    mnemon_migrate::check_outputs(&outputs, &[files_of(&args.dir)?, vec![snapshot.clone()]].concat())?;
    let folder = tempfile::Builder::new()
        .prefix("mnemon-rehearsal-")
        .tempdir_in(&scratch)
        .with_context(|| scratch.display().to_string())?;
    let file = args.keep.clone().unwrap_or_else(|| folder.path().join("rehearsal.db"));
    let expect = args.expect.or(expect);
    let embedder = wiring::embedder(settings)?;
    let route =
        Route { source: SourceSpec::Snapshot { file: snapshot }, target: TargetSpec::Sqlite { file: file.clone() } };
    let context = migration_context(settings, &embedder, folder.path());
    let source = route.source(&context)?;
    let info = source.info();
    if let Some(expected) = expect.filter(|expected| *expected != info.points) {
        let message = format!(
            "{} has {} points, expected {expected}: a snapshot does not contain points that were only in Qdrant's log; wait \
             a few seconds after the last write and create a new one",
            info.location, info.points
        );
        return Err(CliError::failed(ErrorCode::PointsMissing, message).into());
    }
    mnemon_migrate::check_space(file.parent().unwrap_or(Path::new("")), info.points, info.dims as u64)?;
    let is_asked_for = migration.as_ref().is_none_or(|migration| !migration.state.without_entities);
    let fitting = is_asked_for.then(|| context.fitting_embedder(&*source));
    let embedder = match fitting {
        None | Some(Err(MigrateError::Refused(_))) => None,
        Some(fitting) => Some(fitting?),
    };
    let store = open_store(&file, info.dims, embedder)?;
    let carried = CarriedPoints::open(&folder.path().join("carried.db"))?;
    let rehearsal =
        with_progress(out, |progress| mnemon_migrate::rehearse(&*source, &store, &carried, embedder, progress))?;
    if let Some(file) = &args.report {
        std::fs::write(file, report::rehearsal_to_markdown(&rehearsal)).with_context(|| file.display().to_string())?;
    }
    if let Some(migration) = &mut migration {
        let took = rehearsal.copied.took + rehearsal.verify_took;
        let summary = format!("{} points copied and compared in {took:.1?}", rehearsal.verified.points);
        migration.record_parts(Phase::Rehearse, rehearsal.is_green(), summary, rehearsal.parts())?;
    }
    out.value(&report::rehearsal_to_json(&rehearsal), |_| report::rehearsal_to_markdown(&rehearsal))?;
    Ok(if rehearsal.is_green() { Exit::Ok } else { Exit::Differences })
}

/// The snapshot, the number of points it must have, and the migration that records the result.
fn snapshot_to_rehearse(args: &RehearseArgs) -> anyhow::Result<(PathBuf, Option<u64>, Option<Migration>)> {
    let source = Migration::read(&args.dir)?.and_then(|state| state.snapshot().map(Path::to_owned));
    match (&args.snapshot, source) {
        (Some(given), source) if source.as_ref() != Some(&std::path::absolute(given)?) => {
            Ok((given.clone(), None, None))
        }
        (_, Some(source)) => Ok((source, None, Some(Migration::open(&args.dir)?))),
        _ => snapshot_of_backup(&args.dir),
    }
}

/// The snapshot in a migration's backup, the number of points it must have, and the migration.
fn snapshot_of_backup(dir: &Path) -> anyhow::Result<(PathBuf, Option<u64>, Option<Migration>)> {
    let backup = Migration::read(dir)?.and_then(|state| state.backup);
    let Some((folder, _)) = backup else {
        let message = format!(
            "{} has no backup: create one with `mnemon migrate backup`, or give a snapshot with --snapshot",
            dir.display()
        );
        return Err(CliError::refused(message).into());
    };
    let manifest = Manifest::read(&folder)?;
    let Some(collection) = manifest.collections.iter().find(|collection| collection.name == manifest.collection) else {
        let message = format!("the backup in {} has no snapshot of `{}`", folder.display(), manifest.collection);
        return Err(CliError::refused(message).into());
    };
    Ok((folder.join(&collection.file), Some(manifest.points), Some(Migration::open(dir)?)))
}

fn open_store(file: &Path, dims: usize, embedder: Option<&dyn Embedder>) -> anyhow::Result<SqliteStore> {
    let fingerprint = embedder.map_or(UNKNOWN_EMBEDDER, |embedder| embedder.fingerprint()).to_owned();
    Ok(SqliteStore::open(SqliteOptions::new(file, fingerprint, dims))?)
}
