//! A backup, made or gone on with.

use std::fs::File;
use std::path::Path;

use super::artifacts::{copied, documents, of_file};
use super::events::BackupEvent;
use super::export;
use super::inventory::{Found, find, require_files};
use super::layout::{HISTORY, NEO4J, POINTS, others, snapshot_file};
use super::manifest::{ArtifactKind, MANIFEST, Manifest};
use super::options::BackupOptions;
use super::seal::{retention, seal};
use super::snapshot::snapshot;
use super::unfinished::{self, Underway};
use super::{history, verify};
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::Rest;

/// Makes a backup, or goes on with one that was stopped; one that is complete stays as it is, though what it lacks of what
/// is asked for is added.
///
/// # Errors
/// [`MigrateError::Server`] where Qdrant does not answer or refuses, [`MigrateError::NoSpace`] where a disk is full,
/// [`MigrateError::Checksum`] where a download is damaged, [`MigrateError::History`] for a `history.db` that is none,
/// [`MigrateError::Unfit`] for a source or a folder that is not what it must be, [`MigrateError::Io`] for files. What was
/// done until then stays, and the same call goes on from there.
pub fn backup(options: &BackupOptions, progress: &dyn Fn(BackupEvent<'_>)) -> Result<Manifest> {
    require_files(options)?;
    let folder = options.folder.as_path();
    let server = options.rest()?;
    let mut held = if folder.is_dir() { lock(folder)? } else { None };
    let complete = complete(&server, options)?;
    if let Some(manifest) = &complete
        && others(options).into_iter().all(|file| manifest.artifact(file).is_some())
    {
        if manifest.retention_until != retention(manifest.created, options.retention_days)? {
            let told = format!("it is kept until {}, as its manifest says", manifest.retention_until);
            progress(BackupEvent::Note(&told));
        }
        files::remove(&folder.join(unfinished::UNDERWAY))?;
        progress(BackupEvent::AlreadyThere);
        return Ok(manifest.clone());
    }
    progress(BackupEvent::Step("looking at the collection"));
    let found = find(&server, options)?;
    if held.is_none() {
        files::make_folder(folder)?;
        held = lock(folder)?;
        if complete.is_none() && folder.join(MANIFEST).exists() {
            let told = format!("another run has written a backup to {} meanwhile: run it again", folder.display());
            return Err(MigrateError::Unfit(told));
        }
    }
    let mut underway = begin(&server, options, &found, complete.as_ref())?;
    if complete.is_none() {
        let resumed = !underway.started.is_empty();
        for seen in &found.collections {
            snapshot(&server, options, seen, &mut underway, resumed, progress)?;
        }
    }
    documents(&found, folder, &mut underway)?;
    if let Some(history) = &options.history
        && underway.kept(folder, HISTORY)?.is_none()
    {
        progress(BackupEvent::Step("copying history.db"));
        let path = folder.join(HISTORY);
        let rows = history::copy(history, &path)?;
        underway.add(of_file(folder, HISTORY, ArtifactKind::History, Some(rows))?)?;
    }
    if let Some(dump) = &options.neo4j_dump
        && underway.kept(folder, NEO4J)?.is_none()
    {
        progress(BackupEvent::Step("copying the dump of Neo4j"));
        underway.add(copied(dump, folder)?)?;
    }
    if options.export && underway.kept(folder, POINTS)?.is_none() {
        let points = found.collections.first().map_or(0, |seen| seen.points);
        let exported = export::export(&server, &found.collection, folder, points, progress)?;
        if exported.count != Some(points) {
            let told = format!(
                "{POINTS} holds {} points, the server counted {points} before: somebody is writing",
                exported.count.unwrap_or_default()
            );
            progress(BackupEvent::Note(&told));
        }
        underway.add(exported)?;
    }
    let sealed = seal(&server, options, found, &mut underway, complete);
    drop(held);
    sealed
}

/// The backup that a folder holds, if it is complete; every file of it is hashed.
fn complete(server: &Rest, options: &BackupOptions) -> Result<Option<Manifest>> {
    let folder = options.folder.as_path();
    if !folder.join(MANIFEST).exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(folder)?;
    require_same(folder, (&manifest.server, &manifest.source), (server.url(), &options.source))?;
    if let Some(difference) = verify::hashes(folder, &manifest).first() {
        return Err(MigrateError::Unfit(format!(
            "{} holds a backup that is damaged: {} {}. It is left as it is; name another folder",
            folder.display(),
            difference.file,
            difference.what
        )));
    }
    Ok(Some(manifest))
}

fn require_same(folder: &Path, there: (&str, &str), asked: (&str, &str)) -> Result<()> {
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
fn lock(folder: &Path) -> Result<Option<File>> {
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
fn begin(server: &Rest, options: &BackupOptions, found: &Found, complete: Option<&Manifest>) -> Result<Underway> {
    let folder = options.folder.as_path();
    if let Some(underway) = Underway::read(folder)? {
        require_same(folder, (&underway.server, &underway.source), (server.url(), &options.source))?;
        if underway.collection != found.collection {
            return Err(MigrateError::Unfit(format!(
                "{} is the alias of {} now, when the backup in {} was begun it was that of {}: name another folder",
                options.source,
                found.collection,
                folder.display(),
                underway.collection
            )));
        }
        return Ok(underway);
    }
    let mut underway = Underway::new(folder, server.url(), &options.source, &found.collection);
    if let Some(manifest) = complete {
        underway.done.clone_from(&manifest.collections);
        underway.artifacts.clone_from(&manifest.artifacts);
    } else {
        let snapshots = found.collections.iter().map(|seen| snapshot_file(&seen.name));
        let mut names = snapshots.chain(others(options).into_iter().map(str::to_owned));
        if let Some(name) = names.find(|name| folder.join(name).exists()) {
            return Err(MigrateError::Unfit(format!(
                "{} holds a {name}, but no manifest that says what it is: name another folder",
                folder.display()
            )));
        }
    }
    underway.save()?;
    Ok(underway)
}
