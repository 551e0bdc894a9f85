//! A collection's snapshot: made, fetched, recorded and deleted on the server, from wherever an earlier run stopped.

use std::path::Path;

use super::download::{self, Downloaded};
use super::files::{self, Hashed};
use super::manifest::{Artifact, ArtifactKind, CollectionBackup};
use super::underway::{Started, Taken, Underway};
use super::{BackupEvent, BackupOptions, Seen, snapshot_file};
use crate::rest::Rest;
use crate::{MigrateError, Result};

/// Has the server make a snapshot of a collection, fetches it, and has it deleted there.
pub(super) fn snapshot(
    server: &Rest,
    options: &BackupOptions,
    seen: &Seen,
    underway: &mut Underway,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<()> {
    let folder = options.folder.as_path();
    let name = seen.name.as_str();
    let file = snapshot_file(name);
    let is_done = underway.done.iter().any(|done| done.name == name) && underway.kept(folder, &file)?.is_some();
    if !is_done {
        underway.done.retain(|done| done.name != name);
        fetch(server, folder, seen, underway, resumed, progress)?;
    }
    let Some(at) = underway.started.iter().position(|started| started.collection == name) else { return Ok(()) };
    if let Some(taken) = &underway.started[at].taken
        && !options.keep_on_server
    {
        let stays = |why: String| {
            let told = format!("the snapshot {} of {name} stays on the server: {why}", taken.name);
            progress(BackupEvent::Note(&told));
        };
        if !taken.ours {
            stays("it may be somebody else's".into());
        } else if let Err(error) = server.delete_snapshot(name, &taken.name) {
            stays(format!("it could not be deleted ({error})"));
        }
    }
    underway.started.remove(at);
    underway.save()
}

fn fetch(
    server: &Rest,
    folder: &Path,
    seen: &Seen,
    underway: &mut Underway,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<()> {
    let name = seen.name.as_str();
    let file = snapshot_file(name);
    let target = folder.join(&file);
    let mut resumed = resumed;
    loop {
        let (points, taken) = take(server, folder, seen, underway, resumed, progress)?;
        if taken.sha256.is_none() {
            progress(BackupEvent::Note(
                "this server names no checksum of its snapshots: the hash is that of what came",
            ));
        }
        // Whole, but a kill came before that was recorded.
        let whole = match &taken.sha256 {
            Some(expected) if target.is_file() => {
                let hashed = Hashed::file(&target)?;
                let bytes = hashed.bytes;
                Some((bytes, hashed.sha256())).filter(|(_, sha256)| sha256 == expected)
            }
            _ => None,
        };
        let downloaded = match whole {
            Some((bytes, sha256)) => Ok(Downloaded::Whole(bytes, sha256)),
            None => download::download(server, name, &taken, &target, progress),
        };
        if matches!(downloaded, Ok(Downloaded::Gone) | Err(MigrateError::Checksum { .. })) {
            underway.started.retain(|started| started.collection != name);
            underway.save()?;
        }
        match downloaded {
            Ok(Downloaded::Whole(bytes, sha256)) => {
                let kind = ArtifactKind::Snapshot;
                underway.done.push(CollectionBackup {
                    name: name.to_owned(),
                    file: file.clone(),
                    points,
                    points_after: taken.points_after,
                    snapshot: taken.name,
                    snapshot_created: taken.created,
                    checked_against_server: taken.sha256.is_some(),
                });
                return underway.add(Artifact { file, kind, bytes, sha256, count: Some(points) });
            }
            Ok(Downloaded::Gone) if resumed => {
                progress(BackupEvent::Note("the snapshot of an earlier run is gone from the server: it makes another"));
                resumed = false;
            }
            Ok(Downloaded::Gone) => {
                return Err(server.fault(format!("the snapshot {} of {name} is gone before it was here", taken.name)));
            }
            Err(error) => {
                if matches!(error, MigrateError::Checksum { .. }) && taken.ours {
                    // What is damaged is of no use there either; the error to tell is the first.
                    let _ = server.delete_snapshot(name, &taken.name);
                }
                return Err(error);
            }
        }
    }
}

/// The snapshot to fetch, and the points there were before it: one that was recorded, one that was made meanwhile for a run
/// that did not live to see it, or a new one.
fn take(
    server: &Rest,
    folder: &Path,
    seen: &Seen,
    underway: &mut Underway,
    resumed: bool,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<(u64, Taken)> {
    let name = seen.name.as_str();
    let at = match underway.started.iter().position(|started| started.collection == name) {
        Some(at) => at,
        None => {
            let before = server.snapshots(name)?.into_iter().map(|snapshot| snapshot.name).collect();
            let started = Started { collection: name.to_owned(), points: server.count(name)?, before, taken: None };
            underway.started.push(started);
            underway.save()?;
            underway.started.len() - 1
        }
    };
    let Started { points, before, taken, .. } = underway.started[at].clone();
    if let Some(taken) = taken {
        return Ok((points, taken));
    }
    let mut new = server.snapshots(name)?;
    new.retain(|snapshot| !before.contains(&snapshot.name));
    let (described, ours) = match new.pop() {
        Some(only) if resumed && new.is_empty() => {
            let told = format!("the snapshot {} was made since an earlier run asked for one: it is taken", only.name);
            progress(BackupEvent::Note(&told));
            (only, false)
        }
        _ => {
            progress(BackupEvent::Step(&format!("the server makes a snapshot of {name}")));
            let made = server.make_snapshot(name)?;
            // What is left of another one is of no use.
            files::remove(&files::part_of(&folder.join(snapshot_file(name))))?;
            (made, true)
        }
    };
    let taken = Taken::new(described, server.count(name)?, ours);
    if taken.points_after != points {
        let told = format!(
            "{name} had {points} points before the snapshot and {} after it: somebody is writing; what came since is not in it",
            taken.points_after
        );
        progress(BackupEvent::Note(&told));
    }
    underway.started[at].taken = Some(taken.clone());
    underway.save()?;
    Ok((points, taken))
}
