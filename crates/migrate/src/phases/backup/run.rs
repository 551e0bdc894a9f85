//! A backup, made or gone on with.

use std::fs::File;
use std::path::Path;

use super::artifacts::{copy_neo4j_dump, describe_file, write_settings};
use super::events::BackupEvent;
use super::export;
use super::inventory::{Inventory, check_input_files, take_inventory};
use super::layout::{HISTORY, NEO4J, POINTS, extra_files, snapshot_file};
use super::manifest::{ArtifactKind, MANIFEST, Manifest};
use super::options::BackupOptions;
use super::seal::{retention, seal};
use super::snapshot::back_up_collection;
use super::unfinished::{self, UnfinishedBackup};
use super::{history, verify};
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::QdrantRest;

/// Makes a backup, or goes on with one that was stopped; one that is complete stays as it is, though what it lacks of what
/// is asked for is added.
///
/// # Errors
/// [`MigrateError::Server`] where Qdrant does not answer or refuses, [`MigrateError::NoSpace`] where a disk is full,
/// [`MigrateError::Checksum`] where a download is damaged, [`MigrateError::History`] for a `history.db` that is none,
/// [`MigrateError::Unfit`] for a source or a folder that is not what it must be, [`MigrateError::Io`] for files. What was
/// done until then stays, and the same call goes on from there.
pub fn backup(options: &BackupOptions, progress: &dyn Fn(BackupEvent<'_>)) -> Result<Manifest> {
    check_input_files(options)?;
    let folder = options.folder.as_path();
    let server = options.rest()?;
    let mut held = if folder.is_dir() { lock_folder(folder)? } else { None };
    let complete = completed_backup(&server, options)?;
    if let Some(manifest) = &complete
        && extra_files(options).into_iter().all(|file| manifest.artifact(file).is_some())
    {
        if manifest.retention_until != retention(manifest.created, options.retention_days)? {
            let told = format!("it is kept until {}, as its manifest says", manifest.retention_until);
            progress(BackupEvent::Note(&told));
        }
        files::remove_if_exists(&folder.join(unfinished::UNFINISHED))?;
        progress(BackupEvent::AlreadyThere);
        return Ok(manifest.clone());
    }
    progress(BackupEvent::Step("looking at the collection"));
    let found = take_inventory(&server, options)?;
    if held.is_none() {
        files::create_private_folder(folder)?;
        held = lock_folder(folder)?;
        if complete.is_none() && folder.join(MANIFEST).exists() {
            let told = format!("another run has written a backup to {} meanwhile: run it again", folder.display());
            return Err(MigrateError::Unfit(told));
        }
    }
    let mut unfinished = resume_or_start(&server, options, &found, complete.as_ref())?;
    if complete.is_none() {
        let resumed = !unfinished.started.is_empty();
        for seen in &found.collections {
            back_up_collection(&server, options, seen, &mut unfinished, resumed, progress)?;
        }
    }
    write_settings(&found, folder, &mut unfinished)?;
    if let Some(history) = &options.history
        && unfinished.intact_artifact(folder, HISTORY)?.is_none()
    {
        progress(BackupEvent::Step("copying history.db"));
        let path = folder.join(HISTORY);
        let rows = history::copy(history, &path)?;
        unfinished.add_artifact(describe_file(folder, HISTORY, ArtifactKind::History, Some(rows))?)?;
    }
    if let Some(dump) = &options.neo4j_dump
        && unfinished.intact_artifact(folder, NEO4J)?.is_none()
    {
        progress(BackupEvent::Step("copying the dump of Neo4j"));
        unfinished.add_artifact(copy_neo4j_dump(dump, folder)?)?;
    }
    if options.export && unfinished.intact_artifact(folder, POINTS)?.is_none() {
        let points = found.collections.first().map_or(0, |seen| seen.points);
        let exported = export::export(&server, &found.collection, folder, points, progress)?;
        if exported.count != Some(points) {
            let told = format!(
                "{POINTS} holds {} points, the server counted {points} before: somebody is writing",
                exported.count.unwrap_or_default()
            );
            progress(BackupEvent::Note(&told));
        }
        unfinished.add_artifact(exported)?;
    }
    let sealed = seal(&server, options, found, &mut unfinished, complete);
    drop(held);
    sealed
}

/// The backup that a folder holds, if it is complete; every file of it is hashed.
fn completed_backup(server: &QdrantRest, options: &BackupOptions) -> Result<Option<Manifest>> {
    let folder = options.folder.as_path();
    if !folder.join(MANIFEST).exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(folder)?;
    check_same_source(folder, (&manifest.server, &manifest.source), (server.url(), &options.source))?;
    if let Some(difference) = verify::hash_differences(folder, &manifest).first() {
        return Err(MigrateError::Unfit(format!(
            "{} holds a backup that is damaged: {} {}. It is left as it is; name another folder",
            folder.display(),
            difference.file,
            difference.what
        )));
    }
    Ok(Some(manifest))
}

fn check_same_source(folder: &Path, there: (&str, &str), asked: (&str, &str)) -> Result<()> {
    if there == asked {
        return Ok(());
    }
    Err(MigrateError::Unfit(format!(
        "{} holds a backup of {} at {}, not of {} at {}: name another folder",
        folder.display(),
        there.1,
        there.0,
        asked.1,
        asked.0
    )))
}

/// Two at a time would write to the same files.
fn lock_folder(folder: &Path) -> Result<Option<File>> {
    // Where a folder can't be opened as a file, there is no lock.
    let Ok(handle) = File::open(folder) else { return Ok(None) };
    match handle.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(MigrateError::Unfit(format!("another run is writing a backup to {}: wait for it", folder.display())))
        }
        Err(std::fs::TryLockError::Error(_)) => Ok(None),
        Ok(()) => Ok(Some(handle)),
    }
}

/// What was done already.
fn resume_or_start(
    server: &QdrantRest,
    options: &BackupOptions,
    found: &Inventory,
    complete: Option<&Manifest>,
) -> Result<UnfinishedBackup> {
    let folder = options.folder.as_path();
    if let Some(unfinished) = UnfinishedBackup::read(folder)? {
        check_same_source(folder, (&unfinished.server, &unfinished.source), (server.url(), &options.source))?;
        if unfinished.collection != found.collection {
            return Err(MigrateError::Unfit(format!(
                "{} is the alias of {} now, when the backup in {} was begun it was that of {}: name another folder",
                options.source,
                found.collection,
                folder.display(),
                unfinished.collection
            )));
        }
        return Ok(unfinished);
    }
    let mut unfinished = UnfinishedBackup::new(folder, server.url(), &options.source, &found.collection);
    if let Some(manifest) = complete {
        unfinished.done.clone_from(&manifest.collections);
        unfinished.artifacts.clone_from(&manifest.artifacts);
    } else {
        let snapshots = found.collections.iter().map(|seen| snapshot_file(&seen.name));
        let mut names = snapshots.chain(extra_files(options).into_iter().map(str::to_owned));
        if let Some(name) = names.find(|name| folder.join(name).exists()) {
            return Err(MigrateError::Unfit(format!(
                "{} holds a {name}, but no manifest that says what it is: name another folder",
                folder.display()
            )));
        }
    }
    unfinished.save()?;
    Ok(unfinished)
}
