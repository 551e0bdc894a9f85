//! `unfinished.json`: what a backup that is not complete has done so far, so that the next run goes on from there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::manifest::{Artifact, CollectionBackup};
use crate::rest::Described;
use crate::{MigrateError, Result};

/// Its file in the folder of a backup; gone when the backup is complete.
pub(super) const UNDERWAY: &str = "unfinished.json";

/// A backup that is not complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Underway {
    #[serde(skip)]
    path: PathBuf,
    pub(super) server: String,
    pub(super) source: String,
    pub(super) collection: String,
    /// Snapshots that are being made or were.
    pub(super) started: Vec<Started>,
    /// Collections whose snapshot is here.
    pub(super) done: Vec<CollectionBackup>,
    /// Files that are complete.
    pub(super) artifacts: Vec<Artifact>,
}

/// A collection whose snapshot was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) collection: String,
    /// Points before.
    pub(super) points: u64,
    /// Snapshots that were there before.
    pub(super) before: Vec<String>,
    pub(super) taken: Option<Taken>,
}

/// A snapshot on the server that is ours to download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) name: String,
    pub(super) created: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
    /// Points after it was made.
    pub(super) points_after: u64,
    /// Whether it was certainly made for us, and may be deleted.
    pub(super) ours: bool,
}

impl Taken {
    pub(super) fn new(described: Described, points_after: u64, ours: bool) -> Self {
        let Described { name, created, bytes, sha256 } = described;
        Self { name, created, bytes, sha256, points_after, ours }
    }
}

impl Underway {
    /// What an earlier run left in a folder; `None` if nothing.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(UNDERWAY);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files::failed(&path)(error)),
        };
        let read: Self = serde_json::from_slice(&bytes).map_err(|error| {
            MigrateError::Unfit(format!(
                "{} is damaged ({error}): what the run before did is not known. Name another folder",
                path.display()
            ))
        })?;
        Ok(Some(Self { path, ..read }))
    }

    pub(super) fn new(folder: &Path, server: &str, source: &str, collection: &str) -> Self {
        Self {
            path: folder.join(UNDERWAY),
            server: server.to_owned(),
            source: source.to_owned(),
            collection: collection.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn save(&self) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| MigrateError::Unfit(error.to_string()))?;
        files::write(&self.path, &json)
    }

    /// The backup is complete.
    pub(super) fn remove(&self) -> Result<()> {
        files::remove(&self.path)?;
        files::sync_folder(self.path.parent().unwrap_or(&self.path))
    }

    /// An artifact that is complete and still as it was.
    pub(super) fn kept(&self, folder: &Path, file: &str) -> Result<Option<Artifact>> {
        let Some(artifact) = self.artifacts.iter().find(|artifact| artifact.file == file) else { return Ok(None) };
        let path = folder.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        let hashed = files::Hashed::file(&path)?;
        let same = hashed.bytes == artifact.bytes && hashed.sha256() == artifact.sha256;
        Ok(same.then(|| artifact.clone()))
    }

    /// A file is complete.
    pub(super) fn add(&mut self, artifact: Artifact) -> Result<()> {
        self.artifacts.retain(|other| other.file != artifact.file);
        self.artifacts.push(artifact);
        self.save()
    }
}
