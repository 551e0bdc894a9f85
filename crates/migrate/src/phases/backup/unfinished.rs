//! `unfinished.json`: what an incomplete backup has done so far, from where the next run continues.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::UNFINISHED;
use super::manifest::{Artifact, CollectionBackup};
use crate::error::{MigrateError, Result};
use crate::files::{self, ContentHash};
use crate::qdrant_rest::SnapshotInfo;

/// An incomplete backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UnfinishedBackup {
    #[serde(skip)]
    path: PathBuf,
    pub(super) server: String,
    pub(super) source: String,
    pub(super) collection: String,
    /// The collections whose snapshot was requested.
    pub(super) started: Vec<StartedSnapshot>,
    /// The collections whose snapshot has been downloaded.
    #[serde(rename = "done")]
    pub(super) completed: Vec<CollectionBackup>,
    /// The complete files.
    pub(super) artifacts: Vec<Artifact>,
}

/// A collection whose snapshot was requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StartedSnapshot {
    pub(super) collection: String,
    /// The number of points before the request.
    pub(super) points: u64,
    /// The snapshots that existed before the request.
    #[serde(rename = "before")]
    pub(super) earlier_snapshots: Vec<String>,
    /// The snapshot, after it was created.
    #[serde(rename = "taken")]
    pub(super) snapshot: Option<ServerSnapshot>,
}

/// A snapshot on the server to download.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ServerSnapshot {
    pub(super) name: String,
    pub(super) created: Option<String>,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
    /// The number of points after the snapshot was created.
    pub(super) points_after: u64,
    /// Whether this backup certainly created it, and may delete it.
    #[serde(rename = "ours")]
    pub(super) created_by_us: bool,
}

impl ServerSnapshot {
    pub(super) fn new(info: SnapshotInfo, points_after: u64, created_by_us: bool) -> Self {
        let SnapshotInfo { name, created, bytes, sha256 } = info;
        Self { name, created, bytes, sha256, points_after, created_by_us }
    }
}

impl UnfinishedBackup {
    /// Reads the record in a folder; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(UNFINISHED);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files::io_error(&path)(error)),
        };
        let unfinished: Self = serde_json::from_slice(&bytes).map_err(|error| {
            MigrateError::Invalid(format!(
                "{} is damaged ({error}), so the interrupted backup can't be continued: give another folder",
                path.display()
            ))
        })?;
        Ok(Some(Self { path, ..unfinished }))
    }

    pub(super) fn new(folder: &Path, server: &str, source: &str, collection: &str) -> Self {
        Self {
            path: folder.join(UNFINISHED),
            server: server.to_owned(),
            source: source.to_owned(),
            collection: collection.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn save(&self) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| MigrateError::Invalid(error.to_string()))?;
        files::write_private(&self.path, &json)
    }

    /// Removes the record after the backup has become complete.
    pub(super) fn remove(&self) -> Result<()> {
        files::remove_if_exists(&self.path)?;
        files::sync_folder(self.path.parent().unwrap_or(&self.path))
    }

    /// The artifact of a file that is complete and has not changed since.
    pub(super) fn intact_artifact(&self, folder: &Path, file: &str) -> Result<Option<Artifact>> {
        let Some(artifact) = self.artifacts.iter().find(|artifact| artifact.file == file) else { return Ok(None) };
        let path = folder.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        let hash = ContentHash::of_file(&path)?;
        let is_intact = hash.bytes == artifact.bytes && hash.sha256() == artifact.sha256;
        Ok(is_intact.then(|| artifact.clone()))
    }

    /// Records a complete file.
    pub(super) fn add_artifact(&mut self, artifact: Artifact) -> Result<()> {
        self.artifacts.retain(|other| other.file != artifact.file);
        self.artifacts.push(artifact);
        self.save()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON keys must not change: a newer version continues the backup of an older one.
    #[test]
    fn records_of_older_versions_are_read() {
        let json = r#"{
            "server": "http://q:6333", "source": "mem", "collection": "mem0",
            "started": [{"collection": "mem0_entities", "points": 7, "before": ["a.snapshot"], "taken": {
                "name": "b.snapshot", "created": null, "bytes": 10, "sha256": null, "points_after": 8, "ours": true}}],
            "done": [{"name": "mem0", "file": "mem0.snapshot", "points": 3, "points_after": 3, "snapshot": "c.snapshot",
                "snapshot_created": "2026-01-31T23:59:59", "checked_against_server": true}],
            "artifacts": [{"file": "mem0.snapshot", "kind": "snapshot", "bytes": 5, "sha256": "00", "count": 3}]
        }"#;
        let read: UnfinishedBackup = serde_json::from_str(json).unwrap();
        let snapshot = read.started[0].snapshot.as_ref().unwrap();
        assert_eq!((read.started[0].earlier_snapshots.len(), snapshot.created_by_us), (1, true));
        assert_eq!((read.completed.len(), read.artifacts.len()), (1, 1));
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}
