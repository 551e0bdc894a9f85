//! Backs up one collection: the server makes a snapshot, which is downloaded, recorded and deleted on the server. Every
//! step can continue what an earlier run has done.

use std::path::Path;

use super::download::{Downloaded, download};
use super::events::BackupEvent;
use super::inventory::CollectionState;
use super::layout::snapshot_file;
use super::manifest::{Artifact, ArtifactKind, CollectionBackup};
use super::options::BackupOptions;
use super::unfinished::{ServerSnapshot, StartedSnapshot, UnfinishedBackup};
use crate::error::{MigrateError, Result};
use crate::files::{self, ContentHash};
use crate::qdrant_rest::QdrantRest;

/// Makes the server create a snapshot of a collection, downloads it, and deletes it on the server. `resumed` says
/// whether an earlier run was interrupted.
pub(super) fn back_up_collection(
    server: &QdrantRest,
    options: &BackupOptions,
    collection: &CollectionState,
    unfinished: &mut UnfinishedBackup,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<()> {
    let folder = options.folder.as_path();
    let name = collection.name.as_str();
    let is_recorded = unfinished.completed.iter().any(|completed| completed.name == name);
    if !is_recorded || unfinished.intact_artifact(folder, &snapshot_file(name))?.is_none() {
        unfinished.completed.retain(|completed| completed.name != name);
        download_snapshot(server, folder, collection, unfinished, resumed, progress)?;
    }
    let Some(at) = unfinished.started.iter().position(|started| started.collection == name) else { return Ok(()) };
    if let Some(snapshot) = &unfinished.started[at].snapshot
        && !options.keep_on_server
    {
        let note_that_it_stays = |reason: String| {
            let note = format!("the snapshot {} of {name} stays on the server: {reason}", snapshot.name);
            progress(BackupEvent::Note(&note));
        };
        if !snapshot.created_by_us {
            note_that_it_stays("another client may have created it".into());
        } else if let Err(error) = server.delete_snapshot(name, &snapshot.name) {
            note_that_it_stays(format!("it could not be deleted ({error})"));
        }
    }
    unfinished.started.remove(at);
    unfinished.save()
}

fn download_snapshot(
    server: &QdrantRest,
    folder: &Path,
    collection: &CollectionState,
    unfinished: &mut UnfinishedBackup,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<()> {
    let name = collection.name.as_str();
    let file = snapshot_file(name);
    let target = folder.join(&file);
    let mut resumed = resumed;
    loop {
        let (points, snapshot) = find_or_create_snapshot(server, folder, collection, unfinished, resumed, progress)?;
        if snapshot.sha256.is_none() {
            progress(BackupEvent::Note(
                "this server reports no checksum of its snapshots: the manifest will have the hash of the download",
            ));
        }
        let downloaded = match complete_download(&target, &snapshot)? {
            Some((bytes, sha256)) => Ok(Downloaded::Complete(bytes, sha256)),
            None => download(server, name, &snapshot, &target, progress),
        };
        if matches!(downloaded, Ok(Downloaded::NotFound) | Err(MigrateError::Checksum { .. })) {
            unfinished.started.retain(|started| started.collection != name);
            unfinished.save()?;
        }
        match downloaded {
            Ok(Downloaded::Complete(bytes, sha256)) => {
                let kind = ArtifactKind::Snapshot;
                unfinished.completed.push(CollectionBackup {
                    name: name.to_owned(),
                    file: file.clone(),
                    points,
                    points_after: snapshot.points_after,
                    snapshot: snapshot.name,
                    snapshot_created: snapshot.created,
                    checked_against_server: snapshot.sha256.is_some(),
                });
                return unfinished.add_artifact(Artifact { file, kind, bytes, sha256, count: Some(points) });
            }
            Ok(Downloaded::NotFound) if resumed => {
                progress(BackupEvent::Note(
                    "the snapshot of an earlier run was deleted on the server, which makes a new one",
                ));
                resumed = false;
            }
            Ok(Downloaded::NotFound) => {
                return Err(server
                    .error(format!("the snapshot {} of {name} was deleted before it was downloaded", snapshot.name)));
            }
            Err(error) => {
                if matches!(error, MigrateError::Checksum { .. }) && snapshot.created_by_us {
                    // A damaged snapshot is useless on the server, too. The first error is the one to report.
                    let _ = server.delete_snapshot(name, &snapshot.name);
                }
                return Err(error);
            }
        }
    }
}

/// The length and hash of a download that was complete when an earlier run was killed before it recorded that.
fn complete_download(target: &Path, snapshot: &ServerSnapshot) -> Result<Option<(u64, String)>> {
    let Some(expected) = snapshot.sha256.as_ref().filter(|_| target.is_file()) else { return Ok(None) };
    let hash = ContentHash::of_file(target)?;
    let (bytes, sha256) = (hash.bytes, hash.sha256());
    Ok(if sha256 == *expected { Some((bytes, sha256)) } else { None })
}

/// The snapshot to download, and the number of points before it was requested. It is the recorded one, one that was
/// created for an earlier run that was killed before it got the response, or a new one.
fn find_or_create_snapshot(
    server: &QdrantRest,
    folder: &Path,
    collection: &CollectionState,
    unfinished: &mut UnfinishedBackup,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<(u64, ServerSnapshot)> {
    let name = collection.name.as_str();
    let at = match unfinished.started.iter().position(|started| started.collection == name) {
        Some(at) => at,
        None => {
            let earlier_snapshots = server.snapshots(name)?.into_iter().map(|snapshot| snapshot.name).collect();
            unfinished.started.push(StartedSnapshot {
                collection: name.to_owned(),
                points: server.count(name)?,
                earlier_snapshots,
                snapshot: None,
            });
            unfinished.save()?;
            unfinished.started.len() - 1
        }
    };
    let StartedSnapshot { points, earlier_snapshots, snapshot, .. } = unfinished.started[at].clone();
    if let Some(snapshot) = snapshot {
        return Ok((points, snapshot));
    }
    let mut new = server.snapshots(name)?;
    new.retain(|snapshot| !earlier_snapshots.contains(&snapshot.name));
    let (info, created_by_us) = match new.pop() {
        Some(only) if resumed && new.is_empty() => {
            let note =
                format!("using the snapshot {}, which was created after an earlier run requested one", only.name);
            progress(BackupEvent::Note(&note));
            (only, false)
        }
        _ => {
            progress(BackupEvent::Step(&format!("the server is making a snapshot of {name}")));
            let created = server.create_snapshot(name)?;
            // A partial download of another snapshot can't be continued.
            files::remove_if_exists(&files::partial_path(&folder.join(snapshot_file(name))))?;
            (created, true)
        }
    };
    let snapshot = ServerSnapshot::new(info, server.count(name)?, created_by_us);
    if snapshot.points_after != points {
        let note = format!(
            "{name} had {points} points before the snapshot and {} after it: clients are writing to it, and what they wrote \
             after the snapshot is not in the backup",
            snapshot.points_after
        );
        progress(BackupEvent::Note(&note));
    }
    unfinished.started[at].snapshot = Some(snapshot.clone());
    unfinished.save()?;
    Ok((points, snapshot))
}
