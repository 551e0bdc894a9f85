//! Verifies a backup: the hash of every file, and whether its content can be read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::history;
use super::manifest::{Artifact, ArtifactKind, DIGEST_MISMATCH, MANIFEST_FILE, Manifest};
use crate::error::Result;
use crate::files::{self, ContentHash};

/// A difference between the manifest and a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupDifference {
    /// The file.
    pub file: String,
    /// What differs.
    pub what: String,
}

/// The result of verifying a backup.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The manifest; `None` if it can't be read.
    pub manifest: Option<Manifest>,
    /// The intact files, with their contents in words.
    pub sound: Vec<(String, String)>,
    /// The differences.
    pub differences: Vec<BackupDifference>,
    /// Files in the folder that the manifest does not list.
    pub unknown: Vec<String>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

impl BackupReport {
    /// Whether all files are intact and could be read.
    pub fn is_green(&self) -> bool {
        self.differences.is_empty()
    }

    fn add_difference(&mut self, file: &str, what: impl Into<String>) {
        self.differences.push(BackupDifference { file: file.to_owned(), what: what.into() });
    }
}

/// Checks the hash of every file of a backup and reads its content. Snapshots are unpacked to the system's folder for
/// temporary files.
///
/// # Errors
/// [`crate::MigrateError::Io`] if the folder can't be read or a snapshot can't be unpacked. All other problems are in
/// the report.
pub fn verify_backup(folder: &Path) -> Result<BackupReport> {
    verify_backup_in(folder, &std::env::temp_dir())
}

/// As [`verify_backup`], with the folder where snapshots are unpacked. It needs about as much disk space as the
/// collection.
///
/// # Errors
/// As [`verify_backup`].
pub fn verify_backup_in(folder: &Path, scratch: &Path) -> Result<BackupReport> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(files::io_error(folder))? {
        names.push(entry.map_err(files::io_error(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut report = BackupReport::default();
    let path = folder.join(MANIFEST_FILE);
    let read = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "is missing: the backup is incomplete, or the folder is not a backup".to_owned()
        }
        _ => format!("can't be read ({error})"),
    });
    match read.and_then(|bytes| Manifest::parse(&bytes)) {
        Ok((manifest, digest_matches)) => {
            if digest_matches {
                report.sound.push((MANIFEST_FILE.to_owned(), "the digest matches".to_owned()));
            } else {
                report.add_difference(MANIFEST_FILE, DIGEST_MISMATCH);
            }
            report.manifest = Some(manifest);
        }
        Err(reason) => report.add_difference(MANIFEST_FILE, reason),
    }
    let Some(manifest) = report.manifest.clone() else {
        report.unknown = names.into_iter().filter(|name| name != MANIFEST_FILE).collect();
        return Ok(report);
    };
    for artifact in &manifest.artifacts {
        if let Some(difference) = hash_difference(folder, artifact) {
            report.differences.push(difference);
            continue;
        }
        match inspect(folder, artifact, &manifest, scratch)? {
            Ok(Inspection::Read(found)) => report.sound.push((artifact.file.clone(), found)),
            Ok(Inspection::NotRead(why)) => {
                report.sound.push((artifact.file.clone(), "the hash matches".to_owned()));
                report.notes.push(format!("the content of {} was not checked: {why}", artifact.file));
            }
            Err(what) => report.add_difference(&artifact.file, what),
        }
    }
    for collection in &manifest.collections {
        if manifest.artifact(&collection.file).is_none() {
            report.add_difference(
                MANIFEST_FILE,
                format!("does not list {} for the collection {}", collection.file, collection.name),
            );
        }
    }
    report.unknown =
        names.into_iter().filter(|name| name != MANIFEST_FILE && manifest.artifact(name).is_none()).collect();
    Ok(report)
}

/// The files whose length or hash differs from the manifest.
pub(super) fn hash_differences(folder: &Path, manifest: &Manifest) -> Vec<BackupDifference> {
    manifest.artifacts.iter().filter_map(|artifact| hash_difference(folder, artifact)).collect()
}

fn hash_difference(folder: &Path, artifact: &Artifact) -> Option<BackupDifference> {
    let add_difference = |what: String| Some(BackupDifference { file: artifact.file.clone(), what });
    let is_plain_name = Path::new(&artifact.file).file_name().is_some_and(|name| name == artifact.file.as_str());
    if !is_plain_name {
        return add_difference("is not the name of a file in the folder".into());
    }
    let path = folder.join(&artifact.file);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return add_difference("is missing".into()),
        Err(error) => return add_difference(format!("can't be read ({error})")),
    };
    if length != artifact.bytes {
        return add_difference(format!("has {length} bytes, not {}", artifact.bytes));
    }
    match ContentHash::of_file(&path) {
        Ok(hash) if hash.bytes == artifact.bytes => {
            let found = hash.sha256();
            if found == artifact.sha256 {
                return None;
            }
            add_difference(format!("has the SHA-256 {found}, not {}: the content was changed", artifact.sha256))
        }
        Ok(hash) => add_difference(format!("has {} bytes, not {}", hash.bytes, artifact.bytes)),
        Err(error) => add_difference(format!("can't be read ({error})")),
    }
}

/// The contents of a file, in words.
enum Inspection {
    Read(String),
    #[cfg_attr(feature = "snapshot", expect(dead_code, reason = "with the snapshot reader every file can be read"))]
    NotRead(&'static str),
}

/// Reads a file whose hash matches.
fn inspect(
    folder: &Path,
    artifact: &Artifact,
    manifest: &Manifest,
    scratch: &Path,
) -> Result<Result<Inspection, String>> {
    let path = folder.join(&artifact.file);
    match artifact.kind {
        ArtifactKind::Snapshot => inspect_snapshot(&path, artifact, manifest, scratch),
        _ => Ok(inspect_contents(&path, artifact)),
    }
}

fn inspect_contents(path: &Path, artifact: &Artifact) -> Result<Inspection, String> {
    let count = |found: u64, what: &str| match artifact.count {
        Some(expected) if expected != found => Err(format!("has {found} {what}, not {expected}")),
        _ => Ok(Inspection::Read(format!("{found} {what}"))),
    };
    match artifact.kind {
        ArtifactKind::Aliases => {
            let aliases = read_json(path)?["aliases"].as_array().map_or(0, Vec::len);
            count(aliases as u64, "aliases")
        }
        ArtifactKind::Collection => {
            let collections = read_json(path)?["collections"].as_object().map_or(0, serde_json::Map::len);
            count(collections as u64, "collections")
        }
        ArtifactKind::History => count(history::check_history(path)?, "rows"),
        ArtifactKind::Points => count(count_points(path)?, "points"),
        ArtifactKind::Neo4jDump | ArtifactKind::Calendar | ArtifactKind::Snapshot => {
            Ok(Inspection::Read(format!("{} bytes", artifact.bytes)))
        }
    }
}

#[cfg(feature = "snapshot")]
fn inspect_snapshot(
    path: &Path,
    artifact: &Artifact,
    manifest: &Manifest,
    scratch: &Path,
) -> Result<Result<Inspection, String>> {
    use crate::source::{Snapshot, Source};
    let found = match Snapshot::open(path, scratch) {
        Ok(opened) => opened.info().points,
        // The file has just been read for its hash, so this error is about the scratch folder.
        Err(error @ crate::MigrateError::Io { .. }) => return Err(error),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let recorded = manifest.collections.iter().find(|collection| collection.file == artifact.file);
    let Some(recorded) = recorded else { return Ok(Ok(Inspection::Read(format!("{found} points")))) };
    let (least, most) = (recorded.points.min(recorded.points_after), recorded.points.max(recorded.points_after));
    if (least..=most).contains(&found) {
        return Ok(Ok(Inspection::Read(format!("{found} points"))));
    }
    let counted = if least == most { least.to_string() } else { format!("between {least} and {most}") };
    Ok(Err(format!(
        "has {found} points, but the server counted {counted}: wait a few seconds after the last write and make a new backup"
    )))
}

#[cfg(not(feature = "snapshot"))]
fn inspect_snapshot(_: &Path, _: &Artifact, _: &Manifest, _: &Path) -> Result<Result<Inspection, String>> {
    Ok(Ok(Inspection::NotRead("this program was built without the snapshot reader")))
}

fn read_json(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("can't be read ({error})"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("is not valid JSON ({error})"))
}

/// Counts the lines of an export and checks that each is a point.
fn count_points(path: &Path) -> Result<u64, String> {
    let file = File::open(path).map_err(|error| format!("can't be read ({error})"))?;
    let mut found = 0;
    for line in BufReader::with_capacity(files::CHUNK, file).lines() {
        found += 1;
        let line = line.map_err(|error| format!("can't be read ({error})"))?;
        let point: Value =
            serde_json::from_str(&line).map_err(|error| format!("line {found} is not valid JSON ({error})"))?;
        if point["id"].is_null() {
            return Err(format!("line {found} is not a point"));
        }
    }
    Ok(found)
}
