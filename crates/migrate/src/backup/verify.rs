//! Whether a backup is still what was written, and can be opened.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::files::{self, Hashed};
use super::history;
use super::manifest::{Artifact, ArtifactKind, BROKEN, MANIFEST, Manifest};
use crate::Result;

/// What is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupDifference {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// How a backup is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BackupReport {
    /// What it should hold; `None` if its manifest can't be read.
    pub manifest: Option<Manifest>,
    /// Files that are as they were, and what opening them showed.
    pub sound: Vec<(String, String)>,
    /// What is not.
    pub differences: Vec<BackupDifference>,
    /// Files in the folder that the manifest does not know.
    pub unknown: Vec<String>,
    /// What could not be looked at here.
    pub notes: Vec<String>,
}

impl BackupReport {
    /// Whether every byte is there and everything opened.
    pub fn is_green(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, file: &str, what: impl Into<String>) {
        self.differences.push(BackupDifference { file: file.to_owned(), what: what.into() });
    }
}

/// Hashes every file of a backup and opens it; snapshots are unpacked in the system's folder for temporary files.
///
/// # Errors
/// [`crate::MigrateError::Io`] if the folder can't be read, or snapshots can't be unpacked. All else is told in the report.
pub fn verify_backup(folder: &Path) -> Result<BackupReport> {
    verify_backup_in(folder, &std::env::temp_dir())
}

/// [`verify_backup`] with a folder to unpack snapshots in, which needs about as much room as the collection has.
///
/// # Errors
/// As [`verify_backup`].
pub fn verify_backup_in(folder: &Path, scratch: &Path) -> Result<BackupReport> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(files::failed(folder))? {
        names.push(entry.map_err(files::failed(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut report = BackupReport::default();
    let path = folder.join(MANIFEST);
    let read = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "is missing: the backup was not completed, or this is none".to_owned(),
        _ => format!("can't be read ({error})"),
    });
    match read.and_then(|bytes| Manifest::parse(&bytes)) {
        Ok((manifest, sealed)) => {
            if sealed {
                report.sound.push((MANIFEST.to_owned(), "its digest is its own".to_owned()));
            } else {
                report.differs(MANIFEST, BROKEN);
            }
            report.manifest = Some(manifest);
        }
        Err(reason) => report.differs(MANIFEST, reason),
    }
    let Some(manifest) = report.manifest.clone() else {
        report.unknown = names.into_iter().filter(|name| name != MANIFEST).collect();
        return Ok(report);
    };
    for artifact in &manifest.artifacts {
        if let Some(difference) = hash(folder, artifact) {
            report.differences.push(difference);
            continue;
        }
        match open(folder, artifact, &manifest, scratch)? {
            Ok(OpenTarget::Sound(told)) => report.sound.push((artifact.file.clone(), told)),
            Ok(OpenTarget::Unseen(why)) => {
                report.sound.push((artifact.file.clone(), "its hash is right".to_owned()));
                report.notes.push(format!("{} was not opened: {why}", artifact.file));
            }
            Err(what) => report.differs(&artifact.file, what),
        }
    }
    for done in &manifest.collections {
        if manifest.artifact(&done.file).is_none() {
            report.differs(MANIFEST, format!("names no {} for the collection {}", done.file, done.name));
        }
    }
    report.unknown = names.into_iter().filter(|name| name != MANIFEST && manifest.artifact(name).is_none()).collect();
    Ok(report)
}

/// What differs in length or hash.
pub(super) fn hashes(folder: &Path, manifest: &Manifest) -> Vec<BackupDifference> {
    manifest.artifacts.iter().filter_map(|artifact| hash(folder, artifact)).collect()
}

fn hash(folder: &Path, artifact: &Artifact) -> Option<BackupDifference> {
    let differs = |what: String| Some(BackupDifference { file: artifact.file.clone(), what });
    let plain = Path::new(&artifact.file).file_name().is_some_and(|name| name == artifact.file.as_str());
    if !plain {
        return differs("is no name of a file in the folder".into());
    }
    let path = folder.join(&artifact.file);
    let length = match std::fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return differs("is missing".into()),
        Err(error) => return differs(format!("can't be read ({error})")),
    };
    if length != artifact.bytes {
        return differs(format!("has {length} bytes, not {}", artifact.bytes));
    }
    match Hashed::file(&path) {
        Ok(hashed) if hashed.bytes == artifact.bytes => {
            let found = hashed.sha256();
            if found == artifact.sha256 {
                return None;
            }
            differs(format!("has the SHA-256 {found}, not {}: bytes were changed", artifact.sha256))
        }
        Ok(hashed) => differs(format!("has {} bytes, not {}", hashed.bytes, artifact.bytes)),
        Err(error) => differs(format!("can't be read ({error})")),
    }
}

/// What opening a file showed.
enum OpenTarget {
    Sound(String),
    #[cfg_attr(feature = "snapshot", expect(dead_code, reason = "here everything can be opened"))]
    Unseen(&'static str),
}

/// Opens a file whose hash is right.
fn open(folder: &Path, artifact: &Artifact, manifest: &Manifest, scratch: &Path) -> Result<Result<OpenTarget, String>> {
    let path = folder.join(&artifact.file);
    match artifact.kind {
        ArtifactKind::Snapshot => snapshot(&path, artifact, manifest, scratch),
        _ => Ok(read(&path, artifact)),
    }
}

fn read(path: &Path, artifact: &Artifact) -> Result<OpenTarget, String> {
    let count = |found: u64, what: &str| match artifact.count {
        Some(expected) if expected != found => Err(format!("holds {found} {what}, not {expected}")),
        _ => Ok(OpenTarget::Sound(format!("{found} {what}"))),
    };
    match artifact.kind {
        ArtifactKind::Aliases => {
            let aliases = json(path)?["aliases"].as_array().map_or(0, Vec::len);
            count(aliases as u64, "aliases")
        }
        ArtifactKind::Collection => {
            let collections = json(path)?["collections"].as_object().map_or(0, serde_json::Map::len);
            count(collections as u64, "collections")
        }
        ArtifactKind::History => count(history::check(path)?, "rows"),
        ArtifactKind::Points => count(points(path)?, "points"),
        ArtifactKind::Neo4jDump | ArtifactKind::Calendar | ArtifactKind::Snapshot => {
            Ok(OpenTarget::Sound(format!("{} bytes", artifact.bytes)))
        }
    }
}

#[cfg(feature = "snapshot")]
fn snapshot(
    path: &Path,
    artifact: &Artifact,
    manifest: &Manifest,
    scratch: &Path,
) -> Result<Result<OpenTarget, String>> {
    use crate::read::{Snapshot, Source};
    let found = match Snapshot::open(path, scratch) {
        Ok(opened) => opened.about().points,
        // The file was read to its end a moment ago: what can't be written is the scratch folder.
        Err(error @ crate::MigrateError::Io { .. }) => return Err(error),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let told = manifest.collections.iter().find(|done| done.file == artifact.file);
    let Some(told) = told else { return Ok(Ok(OpenTarget::Sound(format!("{found} points")))) };
    let (least, most) = (told.points.min(told.points_after), told.points.max(told.points_after));
    if (least..=most).contains(&found) {
        return Ok(Ok(OpenTarget::Sound(format!("{found} points"))));
    }
    let counted = if least == most { least.to_string() } else { format!("between {least} and {most}") };
    Ok(Err(format!(
        "holds {found} points, the server counted {counted}: wait a few seconds after the last write and make another"
    )))
}

#[cfg(not(feature = "snapshot"))]
fn snapshot(_: &Path, _: &Artifact, _: &Manifest, _: &Path) -> Result<Result<OpenTarget, String>> {
    Ok(Ok(OpenTarget::Unseen("this program was built without the reader of snapshots")))
}

fn json(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("can't be read ({error})"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("is no JSON ({error})"))
}

/// Lines of an export, each of which must be a point.
fn points(path: &Path) -> Result<u64, String> {
    let file = File::open(path).map_err(|error| format!("can't be read ({error})"))?;
    let mut found = 0;
    for line in BufReader::with_capacity(files::CHUNK, file).lines() {
        found += 1;
        let line = line.map_err(|error| format!("can't be read ({error})"))?;
        let point: Value = serde_json::from_str(&line).map_err(|error| format!("line {found} is no JSON ({error})"))?;
        if point["id"].is_null() {
            return Err(format!("line {found} is no point"));
        }
    }
    Ok(found)
}
