//! Checks what a phase needs before it writes anything, then opens the migration.

use std::path::{Path, PathBuf};

use mnemon_migrate::{
    BackupOptions, BackupPlan, CARRIED_FILE, COUNTS_FILE, LOCK_FILE, Migration, Route, STATE_FILE, SourceSpec,
    StartChecks, Started, TargetSpec, check_outputs, check_start, plan_backup,
};

use super::context::migration_context;
use super::part_args::PartArgs;
use super::route_args::RouteArgs;
use crate::settings::Settings;
use crate::wiring;

/// Opens the migration for a phase that only reads source and target, and writes these files.
pub(super) fn open_checked(route: &RouteArgs, outputs: &[PathBuf], settings: &Settings) -> anyhow::Result<Migration> {
    check_outputs(outputs, &files_of(&route.dir)?)?;
    open_with(route, settings, StartChecks::default())
}

/// The files that a migration reads, or keeps in its folder.
pub(super) fn files_of(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        [STATE_FILE, CARRIED_FILE, LOCK_FILE, COUNTS_FILE].iter().map(|file| dir.join(file)).collect();
    let Some(known) = Migration::read(dir)? else { return Ok(files) };
    files.extend(known.snapshot().map(Path::to_owned));
    if let Some(Route { target: TargetSpec::Sqlite { file }, .. }) = &known.route {
        files.push(file.clone());
    }
    files.extend(known.history);
    Ok(files)
}

/// Opens the migration for phases that fill the target, and records the parts to carry over.
pub(super) fn open_to_fill(
    route: &RouteArgs,
    parts: &PartArgs,
    backup: Option<PathBuf>,
    settings: &Settings,
) -> anyhow::Result<Migration> {
    let known = Migration::read(&route.dir)?;
    let checks = StartChecks {
        history: parts.history_of(known.as_ref()),
        backup,
        target: Some(Started(known.is_some_and(|state| state.started))),
        entities: !parts.without_entities,
        ..StartChecks::default()
    };
    let mut migration = open_with(route, settings, checks)?;
    parts.record(&mut migration)?;
    Ok(migration)
}

/// Checks what a backup needs, and plans it. It uses only Qdrant's REST address.
pub(super) fn check_backup_start(
    options: &BackupOptions,
    dir: &Path,
    settings: &Settings,
) -> anyhow::Result<BackupPlan> {
    let (rest, name) = (options.url.clone(), options.source.clone());
    let source = SourceSpec::Collection { grpc: Vec::new(), rest, name };
    let checks = StartChecks {
        history: options.history.clone(),
        folders: vec![dir.to_owned()],
        backup: Some(options.folder.clone()),
        only_rest: true,
        ..StartChecks::default()
    };
    let embedder = wiring::embedder(settings)?;
    let route = Route { source, target: TargetSpec::InPlace };
    check_start(&route, &migration_context(settings, &embedder, dir), &checks)?;
    Ok(plan_backup(options)?)
}

fn open_with(route: &RouteArgs, settings: &Settings, mut checks: StartChecks) -> anyhow::Result<Migration> {
    let known = Migration::read(&route.dir)?;
    let resolved = route.resolve(known.as_ref().and_then(|state| state.route.as_ref()))?;
    if let Some(resolved) = &resolved {
        resolved.check()?;
        known.as_ref().map_or(Ok(()), |known| known.check_route(&route.dir, resolved))?;
    }
    // A target that is in use has other refusals, and after `retire` the source does not exist.
    let is_in_use = known.as_ref().is_some_and(|state| state.switched);
    if let Some(resolved) = resolved.or(known.and_then(|state| state.route)).filter(|_| !is_in_use) {
        let embedder = wiring::embedder(settings)?;
        let scratch = std::env::temp_dir();
        checks.folders.push(route.dir.clone());
        check_start(&resolved, &migration_context(settings, &embedder, &scratch), &checks)?;
    }
    route.open()
}
