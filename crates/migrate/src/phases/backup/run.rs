//! Makes a backup, or continues one.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::artifacts::{copy_neo4j_dump, describe_file, write_settings};
use super::events::BackupEvent;
use super::export::export_points;
use super::history::copy_history;
use super::inventory::{Inventory, check_input_files, take_inventory};
use super::layout::{HISTORY, NEO4J, POINTS, UNFINISHED, extra_files, snapshot_file};
use super::manifest::{ArtifactKind, MANIFEST_FILE, Manifest};
use super::options::BackupOptions;
use super::seal::{retention_date, seal};
use super::snapshot::back_up_collection;
use super::unfinished::UnfinishedBackup;
use super::verify::hash_differences;
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::QdrantRest;

/// Makes a backup, or continues one that was interrupted. To a complete backup it only adds the requested files that
/// are missing.
///
/// # Errors
/// [`MigrateError::Server`] if Qdrant is unavailable or returns an error; [`MigrateError::NoSpace`] if a disk is full;
/// [`MigrateError::Checksum`] if a download is damaged; [`MigrateError::History`] if the history database is not valid;
/// [`MigrateError::Invalid`] if the source or the folder is not valid; [`MigrateError::Io`] for files. The completed
/// steps stay, and the same call continues.
pub fn backup(options: &BackupOptions, progress: &dyn Fn(BackupEvent<'_>)) -> Result<Manifest> {
    check_input_files(options)?;
    let folder = options.folder.as_path();
    let server = options.rest()?;
    let mut lock = if folder.is_dir() { lock_folder(folder)? } else { None };
    let complete = completed_backup(&server, options)?;
    if let Some(manifest) = &complete
        && extra_files(options).into_iter().all(|file| manifest.artifact(file).is_some())
    {
        if manifest.retention_until != retention_date(manifest.created, options.retention_days)? {
            let note = format!("the retention date stays {}, as in the manifest", manifest.retention_until);
            progress(BackupEvent::Note(&note));
        }
        files::remove_if_exists(&folder.join(UNFINISHED))?;
        progress(BackupEvent::AlreadyComplete);
        return Ok(manifest.clone());
    }
    progress(BackupEvent::Step("reading the collection's settings"));
    let inventory = take_inventory(&server, options)?;
    if lock.is_none() {
        files::create_private_folder(folder)?;
        lock = lock_folder(folder)?;
        if complete.is_none() && folder.join(MANIFEST_FILE).exists() {
            let message = format!("another run has just written a backup to {}: run it again", folder.display());
            return Err(MigrateError::Invalid(message));
        }
    }
    let mut unfinished = resume_or_start(&server, options, &inventory, complete.as_ref())?;
    if complete.is_none() {
        let resumed = !unfinished.started.is_empty();
        for collection in &inventory.collections {
            back_up_collection(&server, options, collection, &mut unfinished, resumed, progress)?;
        }
    }
    write_settings(&inventory, folder, &mut unfinished)?;
    add_extra_files(&server, options, &inventory, &mut unfinished, progress)?;
    let manifest = seal(&server, options, inventory, &mut unfinished, complete);
    drop(lock);
    manifest
}

/// Adds the requested copies and the export, unless they are complete.
fn add_extra_files(
    server: &QdrantRest,
    options: &BackupOptions,
    inventory: &Inventory,
    unfinished: &mut UnfinishedBackup,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<()> {
    let folder = options.folder.as_path();
    if let Some(history) = &options.history
        && unfinished.intact_artifact(folder, HISTORY)?.is_none()
    {
        progress(BackupEvent::Step("copying history.db"));
        let rows = copy_history(history, &folder.join(HISTORY))?;
        unfinished.add_artifact(describe_file(folder, HISTORY, ArtifactKind::History, Some(rows))?)?;
    }
    if let Some(dump) = &options.neo4j_dump
        && unfinished.intact_artifact(folder, NEO4J)?.is_none()
    {
        progress(BackupEvent::Step("copying the Neo4j dump"));
        unfinished.add_artifact(copy_neo4j_dump(dump, folder)?)?;
    }
    if options.export && unfinished.intact_artifact(folder, POINTS)?.is_none() {
        let points = inventory.collections.first().map_or(0, |collection| collection.points);
        let exported = export_points(server, &inventory.collection, folder, points, progress)?;
        if exported.count != Some(points) {
            let note = format!(
                "{POINTS} has {} points, but the server counted {points} before: clients are writing to the collection",
                exported.count.unwrap_or_default()
            );
            progress(BackupEvent::Note(&note));
        }
        unfinished.add_artifact(exported)?;
    }
    Ok(())
}

/// The manifest of the complete backup in the folder, if there is one. Checks the hash of every file.
fn completed_backup(server: &QdrantRest, options: &BackupOptions) -> Result<Option<Manifest>> {
    let folder = options.folder.as_path();
    if !folder.join(MANIFEST_FILE).exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(folder)?;
    check_same_source(folder, (&manifest.server, &manifest.source), (server.url(), &options.source))?;
    if let Some(difference) = hash_differences(folder, &manifest).first() {
        return Err(MigrateError::Invalid(format!(
            "the backup in {} is damaged: {} {}. It was not changed; give another folder",
            folder.display(),
            difference.file,
            difference.what
        )));
    }
    Ok(Some(manifest))
}

/// Refuses a folder with the backup of another server or source.
fn check_same_source(folder: &Path, found: (&str, &str), expected: (&str, &str)) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(MigrateError::Invalid(format!(
        "{} holds a backup of {} at {}, not of {} at {}: give another folder",
        folder.display(),
        found.1,
        found.0,
        expected.1,
        expected.0
    )))
}

/// Locks the folder, since two runs would write to the same files. `None` on a system where a folder can't be locked.
fn lock_folder(folder: &Path) -> Result<Option<File>> {
    let Ok(handle) = File::open(folder) else { return Ok(None) };
    match handle.try_lock() {
        Ok(()) => Ok(Some(handle)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(MigrateError::Invalid(format!(
            "another run is writing a backup to {}: wait until it ends",
            folder.display()
        ))),
    }
}

/// The record of an interrupted run, or a new one.
fn resume_or_start(
    server: &QdrantRest,
    options: &BackupOptions,
    inventory: &Inventory,
    complete: Option<&Manifest>,
) -> Result<UnfinishedBackup> {
    let folder = options.folder.as_path();
    if let Some(unfinished) = UnfinishedBackup::read(folder)? {
        check_same_source(folder, (&unfinished.server, &unfinished.source), (server.url(), &options.source))?;
        if unfinished.collection != inventory.collection {
            return Err(MigrateError::Invalid(format!(
                "{} is now an alias of {}, but it was an alias of {} when the backup in {} was started: give another folder",
                options.source,
                inventory.collection,
                unfinished.collection,
                folder.display()
            )));
        }
        return Ok(unfinished);
    }
    let mut unfinished = UnfinishedBackup::new(folder, server.url(), &options.source, &inventory.collection);
    if let Some(manifest) = complete {
        unfinished.completed.clone_from(&manifest.collections);
        unfinished.artifacts.clone_from(&manifest.artifacts);
    } else {
        let snapshots = inventory.collections.iter().map(|collection| snapshot_file(&collection.name));
        let mut names = snapshots.chain(extra_files(options).into_iter().map(str::to_owned));
        if let Some(name) = names.find(|name| folder.join(name).exists()) {
            return Err(MigrateError::Invalid(format!(
                "{} contains {name}, but no manifest, so it is not a backup: give another folder",
                folder.display()
            )));
        }
    }
    unfinished.save()?;
    Ok(unfinished)
}
